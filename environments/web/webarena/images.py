"""Pictures on pages: structural similarity, as VisualWebArena compares them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from agentgym.core.registry import missing_extra

MAX_PIXELS = 40_000_000
_WINDOW = 7


def opened(data: bytes) -> Any:
    """A picture; None where the bytes are none, or too many pixels.

    Raises:
        MissingExtraError: Pillow isn't installed.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise missing_extra(error, needed_by="page_image_query") from error
    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            return None
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return image


def similarity(first: Any, second: Any) -> float:
    """Structural similarity of two pictures in gray, both resized to the larger width and height."""
    from PIL import Image

    size = max(first.width, second.width, _WINDOW), max(first.height, second.height, _WINDOW)
    gray = [
        np.asarray(item.resize(size, Image.Resampling.LANCZOS).convert("L"), np.float64) for item in (first, second)
    ]
    return ssim(gray[0], gray[1])


def ssim(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Mean structural similarity of two gray pictures of equal shape, values 0 to 255 (Wang et al. 2004).

    A uniform window of 7 by 7 pixels, sample covariance, K1 = 0.01, K2 = 0.03, borders left out: what scikit-image does
    by default, and so the harness.
    """
    count = _WINDOW * _WINDOW
    mean_a, mean_b = _means(first), _means(second)
    scale = count / (count - 1)
    variance_a = scale * (_means(first * first) - mean_a * mean_a)
    variance_b = scale * (_means(second * second) - mean_b * mean_b)
    covariance = scale * (_means(first * second) - mean_a * mean_b)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float((above / below).mean())


def _means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean of every whole window, by sums of sums."""
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    total[1:, 1:] = values.cumsum(0).cumsum(1)
    w = _WINDOW
    sums = total[w:, w:] - total[:-w, w:] - total[w:, :-w] + total[:-w, :-w]
    return np.asarray(sums / (w * w))
