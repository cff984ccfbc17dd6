// Small things that all of the page uses.

export const byId = id => document.getElementById(id);

/** An element; `with` holds properties, `data-…` and `aria-…` attributes. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Text for those who hear the page. */
export const unseen = text => element("span", { className: "unseen" }, text);

export const count = number => number.toLocaleString("en");
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
export const capital = text => text.charAt(0).toUpperCase() + text.slice(1);

export function percent(share, digits = 0) {
  const value = 100 * share;
  if (!digits && value > 99 && value < 100) return ">99%";
  if (!digits && value > 0 && value < 1) return "<1%";
  return `${value.toFixed(digits)}%`;
}

export function duration(ms) {
  if (ms === 0) return "0 ms";
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms >= 10 ? Math.round(ms) : ms >= 1 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
}

export const distance = value => Number(value.toPrecision(4)).toString();
