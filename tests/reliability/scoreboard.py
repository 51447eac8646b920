"""What an expert would ask to see, and which lane answers. No figure of ours stands here.

A row's ``ours`` names figures of lanes in braces; what no lane has kept reads "not measured".
``others``: figures the makers of comparable programs publish, or what is known of them, as gathered
when this project was planned; not measured by us.
"""

from __future__ import annotations

from typing import NamedTuple


class Part(NamedTuple):
    """``text``: with figures of ``lane`` in braces."""

    lane: str
    text: str


class Row(NamedTuple):
    figure: str
    target: str
    others: str
    ours: tuple[Part, ...] = ()


SCOREBOARD: tuple[Row, ...] = (
    Row(
        "Lost records",
        "0 in 1 M seeds",
        "Dropbox, FoundationDB: 0 by their oracles; cursor polling (Kafka Connect JDBC, Airbyte):"
        " known to lose",
        (
            Part("sim", "{seeds failed} of {seeds} seeds failed"),
            Part("kill", "{lost} lost in {kills} kills"),
        ),
    ),
    Row(
        "Effects done twice",
        "0",
        "SymmetricDS skips a batch it knows; Debezium: at least once",
        (Part("kill", "{twice} of {requests of the CRM} requests, {deeds in the practice} deeds"),),
    ),
    Row(
        "Silent overwrites",
        "0; every automatic resolution listed",
        "Nextcloud: reports over many years; dogear calls it data loss",
        (
            Part(
                "kill",
                "{silent} of {edits witnessed} edits the practice's database saw; further"
                " {replaced in the moment of writing} values typed within one call of Open Dental's"
                " API, which writes on no condition",
            ),
        ),
    ),
    Row("Echoes", "0", "not published", (Part("sim", "{seeds failed} seeds failed any rule"),)),
    Row(
        "Crash points survived",
        "100 %",
        "ownCloud: i-th database access; SQLite: n-th I/O error",
        (
            Part(
                "crash-points",
                "{survived} of {crash points}; {planted bugs caught} planted bugs caught there",
            ),
        ),
    ),
    Row(
        "kill -9 of the real process",
        "2,000 kills, 0 lost, twice or stuck",
        "PowerSync's fuzzing: about 0.5 % stuck; Litestream: issue 752",
        (
            Part(
                "kill",
                "{kills} kills ({kills, myisam} MyISAM, {kills, innodb} InnoDB, {kills, postgres}"
                " PostgreSQL over ODBC): {lost} lost, {twice} twice, {silent} silent,"
                " {stuck} stuck",
            ),
            Part("kill", "{kills at work} of the kills met an agent at work, the others its start"),
        ),
    ),
    Row(
        "Seeds, simulated time",
        "20,000 to 50,000 seeds a night",
        "FoundationDB: tens of thousands a night; VOPR: 1,024 cores; Dropbox: millions a day",
        (
            Part(
                "sim",
                "{seeds} seeds, {virtual time}; {seeds not the same twice} not the same twice",
            ),
        ),
    ),
    Row(
        "Kinds of fault, states reached",
        "52 kinds, no reachable cell unreached",
        "FoundationDB: 25 % of faults on, 25 % firing; probes in the code",
        (
            Part(
                "sim",
                "{kinds of fault that struck} kinds struck; {cells not reached} of"
                " {reachable cells} reachable cells not reached",
            ),
        ),
    ),
    Row(
        "Planted bugs killed",
        "all, within 2,000 seeds each",
        "rarely shown",
        (
            Part(
                "sim-mutants",
                "{planted bugs killed} of {planted bugs}; median {median seeds to kill} seeds",
            ),
        ),
    ),
    Row(
        "Change to CRM",
        "p99 within 1 s",
        "SymmetricDS: looks every 10 s; Open Dental's events: a polling interval",
        (
            Part(
                "bench-latency",
                "MyISAM p50 {myisam ms all p50}, p99 {myisam ms all p99};"
                " InnoDB p50 {innodb ms all p50}, p99 {innodb ms all p99}",
            ),
        ),
    ),
    Row(
        "Restart with work pending",
        "2 s with 10,000 pending, 10 s with 1 M records",
        "Debezium resumes at the chunk",
        (
            Part(
                "bench-restart",
                "{rows} records in the journal: {in order first_sync_worst_s} to the first sync"
                " after a stop, {killed first_sync_worst_s} after a kill",
            ),
        ),
    ),
    Row(
        "Load held",
        "50 edits/s for 8 h, memory flat within 5 %, beside 5 M rows",
        "Litestream: 8 h at 50 to 100 writes/s; SymmetricDS: a commit each 10,000 rows",
        (
            Part(
                "load",
                "{edits a second} for {load held for} beside {records compared} records; memory"
                " {memory p50}, at most {memory most}, {memory, last third to middle} in the last"
                " third; nothing waited after {nothing waited after}, last effect after"
                " {drained after}; {differences after load} differences",
            ),
        ),
    ),
    Row(
        "Load on the practice's server",
        "duty at most 10 %, statements at most 100 ms",
        "pt-table-checksum: 0.5 s a chunk, backs off at 25 threads",
        (
            Part(
                "bench-sweep",
                "a proof of {records} records at the share of the server that is usual in an"
                " office takes {rotation_at_office_duty_s}; its longest statement"
                " {longest_statement_ms}",
            ),
            Part(
                "bench-latency",
                "with live changes busy with us {myisam server_busy_pct} of the time (MyISAM),"
                " {innodb server_busy_pct} (InnoDB); longest statements"
                " {myisam longest_statement_ms}, {innodb longest_statement_ms}",
            ),
        ),
    ),
    Row(
        "Quiet to agreement after a crash",
        "within a rotation",
        "not published",
        (Part("kill", "p50 {quiet to agreement, p50}, at most {quiet to agreement, most}"),),
    ),
    Row(
        "Clock abuse",
        "no effect on correctness",
        "Anki refuses above 300 s; SymmetricDS: 10 s threshold; Nextcloud needs clocks that agree",
        (Part("kill", "{clock steps} steps of the agent's clock, up to an hour each way"),),
    ),
    Row(
        "Offline endurance",
        "30 days, then agreement without doubles",
        "binlog default 30 days; Stripe's keys: 24 hours",
        (
            Part(
                "load",
                "{offline}, {offline edits} edits; nothing waited after"
                " {offline, nothing waited after}, last effect after {offline drained after} (what"
                " vanishes without a trace waits for a second look); {differences after offline}"
                " differences",
            ),
        ),
    ),
    Row(
        "Restored practice, CRM, journal",
        "all noticed, no push before a person's word",
        "CouchDB: session ids; Nextcloud: fingerprint",
        (
            Part(
                "kill",
                "put back {practice restored} times (practice, {fenced} of them fenced by the"
                " agent), {crm restored} (CRM, {sent again} of them so far behind that a person"
                " had it filled), {journal restored} (journal); {twice} done twice",
            ),
        ),
    ),
    Row(
        "Mass-delete brake",
        "at most 20 records or 1 %",
        "Nextcloud, Maestral: known accidents",
        (
            Part(
                "brake",
                "{held back until a person's word} of {deleted at once} deleted at once held back"
                " until a person's word",
            ),
        ),
    ),
    Row(
        "Undo",
        "exact, or refused with a reason",
        "SymmetricDS has none",
        (Part("undo", "{taken back} taken back, {refused with a reason} refused with a reason"),),
    ),
    Row(
        "Audit: tampering found",
        "5 of 5 classes",
        "Crosby and Wallach: 1,750 events/s and more",
        (
            Part(
                "audit",
                "{ways of tampering found} of as many ways (edit, delete, reorder, truncate,"
                " roll back and their mixtures)",
            ),
        ),
    ),
    Row(
        "Journal damage found",
        "100 %, rebuilt without doubles",
        "Maestral: made anew",
        (
            Part(
                "journal-damage",
                "{bits flipped} bits flipped: {refused at the start} found at the start,"
                " {found by the chain} by the chain, {refused when read} when read;"
                " {healed} fell on what is proven against the practice anew, {harmless} on nothing",
            ),
        ),
    ),
    Row(
        "Success rate",
        "99.9 % of cycles",
        "Mozilla logins: 95 % to 99 % by one fix",
        (
            Part(
                "load",
                "{rounds that succeeded} of {rounds of the reading lanes} rounds of the reading"
                " lanes, nothing being broken on purpose; {rounds failed} failed",
            ),
        ),
    ),
)
