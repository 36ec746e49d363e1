// Collects the live DOM for the observation engine: what `dom.from_live` reads. One pass, no side effects but the list
// of elements that later actions refer to.
([limit, deepest]) => {
  const LIVE = new Set(["color", "date", "datetime-local", "email", "month", "number", "password", "range", "search",
    "tel", "text", "time", "url", "week"]);
  const nodes = [];
  const elements = [];
  let pseudo = false;
  let counters = false;
  for (const sheet of document.styleSheets) {
    try {
      for (const rule of sheet.cssRules) {
        pseudo = pseudo || /:(before|after)/.test(rule.cssText);
        counters = counters || /counters?\(/.test(rule.cssText);
      }
    } catch (error) {
      pseudo = counters = true;  // a sheet that can't be read may have them
    }
  }
  const COUNTING = ["counter-reset", "counter-increment", "counter-set"];
  const counting = (style, found) => {
    for (const name of counters ? COUNTING : []) {
      const value = style.getPropertyValue(name);
      if (value && value !== "none") found[name] = value;
    }
    return found;
  };
  const generated = (element, style) => {
    const own = counting(style, {});
    if (style.quotes !== "auto") own.quotes = style.quotes;
    const more = { "": own };
    for (const which of ["before", "after"]) {
      const box = getComputedStyle(element, "::" + which);
      if (box.content && box.content !== "none" && box.content !== "normal") {
        more[which] = counting(box, { content: box.content, display: box.display, visibility: box.visibility });
      } else if (element.localName === "q") more[which] = { content: "none" };
    }
    return more.before || more.after || Object.keys(own).length ? more : null;
  };
  const attributes = (element) => {
    const found = {};
    for (const item of element.attributes) found[item.name] = item.value;
    const tag = element.localName;
    if (tag === "input") {
      if (LIVE.has(element.type)) {
        if (element.value !== element.defaultValue) found["data-agent-default"] = element.defaultValue;
        found.value = element.value;
      }
      if (element.type === "checkbox" || element.type === "radio") {
        delete found.checked;
        if (element.checked) found.checked = "";
      }
    } else if (tag === "option") {
      delete found.selected;
      if (element.selected) found.selected = "";
    }
    // Scripted pages: what listens to clicks, and where shapes are that have no words.
    if (window.__agentgymListens && window.__agentgymListens.has(element)) {
      const color = getComputedStyle(element).backgroundColor;
      found["data-agent-click"] = [element.getAttribute("class") || "", color.includes("(0, 0, 0, 0)") ? "" : color]
        .join(" ").trim();
    }
    if (window.__agentgymListens && element instanceof SVGGeometryElement) {
      const box = element.getBoundingClientRect();
      const fill = element.getAttribute("fill") || getComputedStyle(element).fill;
      found["data-agent-shape"] = `${tag} ${fill} at ${Math.round(box.x)},${Math.round(box.y)} size `
        + `${Math.round(box.width)}x${Math.round(box.height)}`;
    }
    return found;
  };
  let cut = false;
  const walk = (element, parent, depth) => {
    if (elements.length >= limit) {
      cut = true;
      return;
    }
    const number = elements.length;
    elements.push(element);
    const style = getComputedStyle(element);
    const transform = style.textTransform === "none" ? "" : style.textTransform;
    nodes.push([parent, element.localName, attributes(element), style.display, style.visibility === "visible",
      transform, pseudo ? generated(element, style) : null]);
    if (element.localName === "textarea") {
      nodes.push([number, element.value]);
      return;
    }
    if (depth >= deepest) {
      cut = cut || element.childNodes.length > 0;
      return;
    }
    for (const child of element.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) nodes.push([number, child.data]);
      else if (child.nodeType === Node.ELEMENT_NODE) walk(child, number, depth + 1);
    }
  };
  if (document.documentElement) walk(document.documentElement, -1, 0);
  window.__agentgym = elements;
  return JSON.stringify({ url: location.href, cut, nodes });
}
