// One modal at a time: title, content, actions, and a place for what went wrong.

import { h } from "./dom.js";

/**
 * Opens a modal dialog. `content`: elements. `actions`: [{text, kind?: "main"|"danger", run, why?}];
 * `run` gets the dialog and may be async: the buttons rest meanwhile, an Unanswered it throws is
 * told in the dialog, and `onRefused(error)` may offer a way on. Escape and the cross close it.
 */
export class Dialog {
  constructor({ title, sub = null, content, actions = [], close = "Close", wide = false, onRefused = null, onClose = null }) {
    this.onRefused = onRefused;
    this.from = document.activeElement;
    this.trouble = h("div.trouble", { role: "alert" });
    this.rests = false;
    this.isReady = true;
    const name = `dialog-${++count}`;
    this.buttons = actions.map((action) => {
      const button = h(`button.${action.kind || "plain"}`, { type: action.kind === "main" ? "submit" : "button", disabled: Boolean(action.why), title: action.why || undefined }, action.text);
      button.action = action;
      if (action.kind !== "main") button.addEventListener("click", () => this.run(button));
      return button;
    });
    this.form = h("form", { novalidate: true, onsubmit: (event) => {
      event.preventDefault();
      const main = this.buttons.find((b) => b.action.kind === "main");
      if (main && !main.disabled) this.run(main);
    } },
      h("header", {},
        h("div", {}, h("h2", { id: name, tabindex: "-1" }, title), sub ? h("p.quiet", {}, sub) : null),
        h("button.cross", { type: "button", "aria-label": "Close", onclick: () => this.close() }, "×")),
      h("div.body", {}, content), this.trouble,
      h("footer", {}, close ? h("button.plain.back", { type: "button", onclick: () => this.close() }, close) : null, this.buttons));
    this.element = h(`dialog.sheet${wide ? ".wide" : ""}`, { "aria-labelledby": name }, this.form);
    this.element.addEventListener("close", () => {
      this.element.remove();
      onClose?.();
      const back = this.from?.isConnected ? this.from : fresh(this.from);
      back?.focus?.({ preventScroll: true });
    });
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      this.close();
    });
    this.element.addEventListener("mousedown", (event) => {
      if (event.target === this.element) this.close(); // the ground around it
    });
    document.body.append(this.element);
    this.element.showModal();
    (this.element.querySelector("[autofocus]") || this.element.querySelector("h2")).focus();
  }

  close() {
    if (this.element.open) this.element.close();
  }

  /** What stands in the way, in words; with elements that offer a way on. */
  tell(text, ...ways) {
    this.trouble.replaceChildren(...(text ? [h("p", {}, text), ...ways.filter(Boolean)] : []));
    this.trouble.scrollIntoView?.({ block: "nearest" });
  }

  /** Whether the main action may be taken. */
  ready(isReady) {
    this.isReady = isReady;
    if (this.rests) return;
    for (const b of this.buttons) b.disabled = Boolean(b.action.why) || (b.action.kind === "main" && !isReady);
  }

  async run(button) {
    if (this.rests) return;
    this.rests = true;
    this.tell("");
    for (const b of this.buttons) b.disabled = true;
    this.element.setAttribute("aria-busy", "true");
    try {
      await button.action.run(this);
    } catch (error) {
      if (error?.told === undefined) throw error;
      if (!this.onRefused?.(error)) this.tell(error.told);
    } finally {
      this.rests = false;
      this.ready(this.isReady);
      this.element.removeAttribute("aria-busy");
    }
  }
}

let count = 0;

/** The element drawn anew in place of one that is gone: the same visit, the same button. */
function fresh(gone) {
  const key = gone?.dataset?.visit;
  if (key) return document.querySelector(`[data-visit="${CSS.escape(key)}"]`);
  return gone?.id ? document.getElementById(gone.id) : document.getElementById("view");
}

/** A labelled control: field("Minutes", input). `hint` stands below. */
export function field(label, control, hint = null) {
  return h("label.field", {}, h("span", {}, label), control, hint ? h("small.quiet", {}, hint) : null);
}

export function choose(options, chosen, attributes = {}) {
  return h("select", attributes, options.map(([value, text]) => h("option", { value, selected: String(value) === String(chosen) }, text)));
}
