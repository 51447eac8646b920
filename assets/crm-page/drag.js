// Moving a visit with the mouse: a ghost follows, free places are told apart, dropping asks first.

import * as api from "./api.js";
import { clock, h } from "./dom.js";

const STARTS_PX = 6; // less is a click
const EDGE_PX = 36;

/**
 * Watches a board. `grid` tells how it is laid out: {from, perMinute, date, columns: [{key, element}]};
 * `onDrop(visit, {operatory, minute, date})` is called for a place that is free.
 */
export class Drag {
  constructor(board, { grid, mayMove, onDrop }) {
    this.board = board;
    this.grid = grid;
    this.mayMove = mayMove;
    this.onDrop = onDrop;
  }

  get isOn() {
    return Boolean(this.ghost);
  }

  /** To be called when the pointer goes down on a visit. */
  take(event, visit, element) {
    if (event.button !== 0 || event.pointerType === "touch" || !this.mayMove(visit)) return;
    const box = element.getBoundingClientRect();
    this.held = { visit, element, x: event.clientX, y: event.clientY, grab: event.clientY - box.top };
    const moved = (e) => this.moved(e);
    const ended = (e) => { this.off(); this.dropped(e); };
    const left = () => this.stop();
    const key = (e) => { if (e.key === "Escape") { e.preventDefault(); this.abandon(); } };
    window.addEventListener("pointermove", moved);
    window.addEventListener("pointerup", ended);
    window.addEventListener("pointercancel", left);
    window.addEventListener("keydown", key, true);
    this.off = () => {
      window.removeEventListener("pointermove", moved);
      window.removeEventListener("pointerup", ended);
      window.removeEventListener("pointercancel", left);
      window.removeEventListener("keydown", key, true);
    };
  }

  moved(event) {
    const held = this.held;
    if (!held) return;
    if (!this.ghost) {
      if (Math.hypot(event.clientX - held.x, event.clientY - held.y) < STARTS_PX) return;
      this.begin();
    }
    event.preventDefault();
    this.at = { x: event.clientX, y: event.clientY };
    this.place();
  }

  async begin() {
    const { visit, element } = this.held;
    const { perMinute, date } = this.grid();
    element.classList.add("lifted");
    this.word = h("span.drop-word");
    this.ghost = h("div.ghost", { style: { height: `${visit.minutes * perMinute - 2}px` }, "aria-hidden": "true" }, h("b", {}, visit.patient), this.word);
    this.board.classList.add("dragging");
    this.free = null;
    this.scroller = setInterval(() => this.scroll(), 40);
    try {
      const seen = await api.slots({ date, minutes: visit.minutes, moving: visit.key, limit: 2000 });
      this.step = seen.step_minutes;
      this.free = new Set(seen.slots.map((s) => `${s.operatory_key}|${s.minute}`));
      if (this.ghost) this.place();
    } catch (error) {
      if (error.told === undefined) throw error; // the practice decides then
    }
  }

  place() {
    const { from, perMinute, columns } = this.grid();
    const column = columns.find(({ element }) => {
      const box = element.getBoundingClientRect();
      return this.at.x >= box.left && this.at.x < box.right;
    });
    if (!column) return;
    const box = column.element.getBoundingClientRect();
    const step = this.step || 10;
    const minute = Math.max(from, from + Math.round((this.at.y - this.held.grab - box.top) / perMinute / step) * step);
    this.aim = { operatory: column.key, minute };
    const isOwn = column.key === this.held.visit.operatory && minute === this.held.visit.start;
    const isFree = !this.free || this.free.has(`${column.key}|${minute}`);
    this.ghost.className = `ghost ${isOwn ? "own" : isFree ? "free" : "taken"}`;
    this.word.textContent = isOwn ? "Here now" : isFree ? clock(minute) : `${clock(minute)} is not free`;
    this.ghost.style.top = `${(minute - from) * perMinute}px`;
    if (this.ghost.parentElement !== column.element) column.element.append(this.ghost);
  }

  scroll() {
    if (!this.at) return;
    const box = this.board.getBoundingClientRect();
    const dy = this.at.y < box.top + EDGE_PX * 2 ? -14 : this.at.y > box.bottom - EDGE_PX ? 14 : 0;
    const dx = this.at.x < box.left + EDGE_PX ? -14 : this.at.x > box.right - EDGE_PX ? 14 : 0;
    if (!dx && !dy) return;
    this.board.scrollBy(dx, dy);
    this.place();
  }

  dropped() {
    const { visit } = this.held || {};
    const was = this.isOn;
    const aim = this.aim;
    const free = this.free;
    const { date } = this.grid();
    this.stop();
    if (!was || !aim) return;
    this.swallowClick();
    if (aim.operatory === visit.operatory && aim.minute === visit.start) return;
    if (free && !free.has(`${aim.operatory}|${aim.minute}`)) return;
    this.onDrop(visit, { ...aim, date });
  }

  /** Escape: the button is still down, and letting it go must not count as a click. */
  abandon() {
    const was = this.isOn;
    this.stop();
    if (was) window.addEventListener("pointerup", () => this.swallowClick(), { once: true });
  }

  /** The click that follows letting go is none. */
  swallowClick() {
    this.justDropped = true;
    setTimeout(() => { this.justDropped = false; }, 0);
  }

  stop() {
    this.off?.();
    clearInterval(this.scroller);
    this.held?.element.classList.remove("lifted");
    this.board.classList.remove("dragging");
    this.ghost?.remove();
    this.held = this.ghost = this.aim = this.at = this.free = null;
  }
}
