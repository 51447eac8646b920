// What the CRM refused and keeps, with a way to try again.

import * as api from "./api.js";
import { empty, h, number, say, words } from "./dom.js";

const OUTCOMES = {
  applied: "Taken.", unchanged: "The CRM holds this already.", duplicate: "This was taken before.",
  stale: "A newer state is here already.", deferred: "Taken; it waits for its patient.",
  rejected: "Refused again, for the same reason.", conflict: "A newer change of the CRM stands against it.",
  retry: "Not now. Try later.",
};

export class Rejects {
  open(place) {
    if (this.place) return;
    this.place = place;
    this.sub = h("p.quiet", {});
    this.list = h("ul.rejects", { "aria-label": "Refused changes" });
    place.replaceChildren(h("div.toolbar", {}, h("div.when", {}, h("h2", {}, "Rejects"), this.sub)), this.list);
    this.drawn = "";
    this.refresh();
  }

  close() {
    this.place = null;
  }

  async refresh() {
    if (!this.place) return;
    const seen = await api.rejects();
    const drawn = JSON.stringify(seen);
    if (!this.place || drawn === this.drawn) return;
    this.drawn = drawn;
    this.sub.textContent = seen.open
      ? `${number(seen.open)} change${seen.open === 1 ? "" : "s"} could not be taken. Nothing else waits for them.`
      : seen.resolved ? `${number(seen.resolved)} resolved earlier.` : "";
    this.list.replaceChildren(...(seen.rejects.length ? seen.rejects.map((r) => this.line(r)) : [
      h("li.bare", {}, empty("Nothing was refused", "Every change the agent sent has been taken."))]));
  }

  line(reject) {
    const result = h("span.quiet", { role: "status" });
    const button = h("button.plain", { type: "button", onclick: () => this.retry(reject, button, result) }, "Try again");
    return h("li", {},
      h("div.reject-head", {}, h("b", {}, reject.type ? `${words(reject.type)} ${reject.key ?? ""}` : "Unreadable change"),
        h("span.pill.denied", {}, reject.reason), h("time.quiet", { datetime: reject.at }, new Date(reject.at).toLocaleString())),
      h("p", {}, reject.why),
      h("details", {}, h("summary", {}, "What was sent"), h("pre", { tabindex: "0" }, pretty(reject.item))),
      h("div.reject-foot", {}, button, result));
  }

  async retry(reject, button, result) {
    button.disabled = true;
    try {
      const answer = await api.retry(reject.id);
      result.textContent = OUTCOMES[answer.outcome] || answer.outcome;
      say(result.textContent);
    } catch {
      result.textContent = "The CRM did not answer. Try again.";
    }
    button.disabled = false;
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
