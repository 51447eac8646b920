"""A stand-in for the Open Dental API over a real database with Open Dental's layout, for tests.

    with StandIn(Database(port=server.port, database="od", zone="America/Chicago")) as api:
        httpx.get(f"{api.url}/patients/1", headers={"Authorization": api.authorization, ...})

It is not Open Dental. It answers and writes what the vendor's public API pages (about 24.4) and
the public source (24.3) describe: methods, versions, permissions, page sizes, spelling, and the
rows the program writes beside (history, signals, audit lines with their hash, recall dates, first
visits, procedures). It cannot show how the real program behaves under load, what its texts of
refusal are, what it does in releases after 24.3, how it computes ``SecurityHash`` (the recipe is
not public: the column gets a value of ours over the same columns), or anything the pages leave
open.

Left open by the pages, and what is done here (the plainest thing; do not build on it):

- order of the gates: keys 401, Content-Type 400, unknown resource 404, version 400, permission
  401;
- a refusal's body is a JSON string; texts are ours. An empty success has no body;
- 503, 429 and 500 are not in the vendor's list of codes: 503 and 429 come only as armed faults,
  500 when the database is lost in Service and Local mode (Remote answers 400, as its page says of
  an office it cannot reach: there a 400 does not prove that nothing was done);
- Remote's throttle makes a request wait for its turn; whether the vendor refuses instead is
  unknown;
- requests run side by side, on one connection each, with no lock and no transaction;
- a later version's field or parameter is ignored without a word, like any unknown one
  (``ignored()``);
- null counts as absent; a JSON boolean for "true" is refused; digits as a string pass for a
  number;
- DateTStamp filters are strictly "after" (procedurelogs: "on or after", as its page says); lists
  without a stated order come by primary key;
- duplicates: same LName, FName and Birthdate, and an e-mail address or telephone number in
  common;
- telephone numbers are formatted and names capitalised on PUT as on POST; ImageFolder is set by
  POST;
- a guarantor must head their own family; a head with members cannot leave it;
- appointments: no overlap, schedule, blockout or past check; DateTimeArrived and its kin stay
  empty; PUT AptStatus writes the row only (attached procedures stay as they are); its answer's
  DateTStamp is 0001-01-01, as in the page's example; UnschedList clears Op;
- Break: any value of BrokenApptProcedure but 0 allows both types; no adjustment is made; audit
  line 26 when sent to the list, else 27;
- Slots: appointments of that chair and of that provider are taken out, blockouts are not;
- history rows by the API: HistUserNum 0 and ApptSource OpenDentalAPIService (Service), EConnector
  (Remote), None and user 1 (Local); audit lines: UserNum 0, LogSource 23;
- Commlogs: ``Mode_`` is read back spelled as it is sent ("In Person"); newest first;
- PerioExams: no tooth is skipped while the strings are read; unflagged sites of a flagged tooth
  hold 0; missing teeth are carried over from the last exam only, not from the tooth chart;
- Recalls: POST answers 200 (its page says so), PUT calculates nothing anew;
- PatFields PUT refuses with 400 what has no row yet; a blank value is refused;
- ApptFields PUT writes no history and moves no stamp (the table has none);
- Documents Upload: no audit line; the category may be a DefNum or a name; the list hides the raw
  file.

Not built, answered 501: SchedulePlanned, Planned, WebSched and ASAP posting, GroupNote,
ProcedureLogs writing, subscriptions and events, queries, everything about money and insurance.
"""

from __future__ import annotations

from tests.support.odapi.checks import Problem, mark, overlaps, problems
from tests.support.odapi.faults import Fault, Faults
from tests.support.odapi.gates import Mode, Permission, Tier
from tests.support.odapi.office import TABLES, Office, Signer
from tests.support.odapi.server import Database, Seen, StandIn

__all__ = [
    "TABLES", "Database", "Fault", "Faults", "Mode", "Office", "Permission", "Problem", "Seen",
    "Signer", "StandIn", "Tier", "mark", "overlaps", "problems",
]  # fmt: skip
