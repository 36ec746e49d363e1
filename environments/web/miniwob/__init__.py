"""MiniWoB++ (Liu et al. 2018, https://arxiv.org/abs/1802.08802) through Playwright: 130 small tasks made of scripts."""
