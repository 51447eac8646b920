// What the practice lets the CRM ask for now, and whether anybody listens there.

import * as api from "./api.js";

const WHY_SUSPENDED = "Booking is paused: the practice's agent found something a person must look at first.";

class Desk {
  constructor() {
    this.seen = null;
  }

  async refresh() {
    this.seen = await api.desk();
  }

  get suspended() {
    return this.seen?.suspended || null;
  }

  get fields() {
    return this.seen?.patient_fields || [];
  }

  get openReviews() {
    return (this.seen?.open_conflicts || 0) + (this.seen?.open_suspects || 0);
  }

  /** Why a command of this type cannot be sent now, in words; null: it can. */
  whyNot(type) {
    if (!this.seen) return "The CRM does not answer.";
    if (this.seen.agent === "none") return "No agent of the practice is connected.";
    // What the switches and a suspension take off the offer is no lack of the practice's system.
    if (this.suspended && (type === "appointment.book" || type === "appointment.reschedule")) return WHY_SUSPENDED;
    if (this.seen.capabilities.includes(type)) return null;
    const on = this.seen.switches || {};
    if (on.kill || on.read_only) return "A safety switch of the CRM is on: nothing may be asked of the practice.";
    return "The practice does not offer this now: its system cannot do it, or what may be written there is limited.";
  }

  /** Lines above the schedule: [mark, text]. */
  get notices() {
    const seen = this.seen;
    if (!seen) return [];
    const lines = [];
    const on = seen.switches || {};
    if (on.kill) lines.push(["stop", "The CRM's kill switch is on: the agent does nothing for the CRM."]);
    else if (on.read_only) lines.push(["stop", "Read only: requests are made here, the practice refuses them."]);
    else if (on.dry_run) lines.push(["warn", "Dry run: requests are planned and reported, nothing is written."]);
    if (on.canary && Object.values(on.canary).some((keys) => keys.length)) {
      lines.push(["warn", "Trial: only the chosen operatories, providers and test patients are written to."]);
    }
    if (seen.suspended) lines.push(["stop", WHY_SUSPENDED]);
    if (seen.agent === "silent" && seen.open_commands) {
      lines.push(["warn", "The practice's agent does not answer. Requests wait and are done when it is back."]);
    }
    return lines;
  }
}

export const desk = new Desk();
