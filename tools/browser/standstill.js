// A page's time stands still until `__agentgymRun(ms)` lets it run on: dates, timers, intervals and animation frames.
// Also notes which elements listen to clicks.
((epoch) => {
  let now = epoch;
  let next = 1;
  const timers = new Map();
  const RealDate = Date;
  window.Date = new Proxy(RealDate, {
    construct: (target, values) => (values.length ? new target(...values) : new target(now)),
    apply: () => new RealDate(now).toString(),
    get: (target, key) => (key === "now" ? () => now : Reflect.get(target, key)),
  });
  performance.now = () => now - epoch;
  const add = (callback, delay, repeated, values) => {
    const wait = Math.max(Number(delay) || 0, repeated ? 1 : 0);
    timers.set(next, { at: now + wait, every: repeated ? wait : 0, callback, values, id: next });
    return next++;
  };
  const drop = (id) => { timers.delete(Number(id)); };
  window.setTimeout = (callback, delay, ...values) => add(callback, delay, false, values);
  window.setInterval = (callback, delay, ...values) => add(callback, delay, true, values);
  window.requestAnimationFrame = (callback) => add(() => callback(now - epoch), 16, false, []);
  window.clearTimeout = window.clearInterval = window.cancelAnimationFrame = drop;
  window.__agentgymRun = (span) => {
    const end = now + span;
    for (let count = 0; count < 20000; count++) {
      let first = null;
      for (const timer of timers.values()) {
        if (timer.at <= end && (!first || timer.at < first.at || (timer.at === first.at && timer.id < first.id))) first = timer;
      }
      if (!first) break;
      now = Math.max(now, first.at);
      if (first.every) first.at += first.every;
      else timers.delete(first.id);
      try {
        if (typeof first.callback === "function") first.callback.apply(window, first.values);
        else (0, eval)(String(first.callback));
      } catch (error) {
        console.error(error);  // as a browser reports it, and the other timers go on
      }
    }
    now = end;
  };

  // For another episode on the same page: the clock goes back, and nothing is waiting.
  window.__agentgymAgain = () => {
    timers.clear();
    now = epoch;
    next = 1;
    if (document.activeElement && document.activeElement !== document.body) document.activeElement.blur();
    getSelection().removeAllRanges();
    scrollTo(0, 0);
  };

  const listens = window.__agentgymListens = new WeakSet();
  const listen = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (type, ...rest) {
    const own = this instanceof Element && this !== document.body && this !== document.documentElement;
    if (own && /^(click|mousedown|mouseup|dblclick)$/.test(type)) listens.add(this);
    return listen.call(this, type, ...rest);
  };
  const known = Object.getOwnPropertyDescriptor(HTMLElement.prototype, "onclick");
  Object.defineProperty(HTMLElement.prototype, "onclick", {
    ...known,
    set(value) {
      if (value) listens.add(this);
      known.set.call(this, value);
    },
  });
})(1767268800000);
