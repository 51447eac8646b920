"""What a MariaDB/MySQL error means for us: number in, consequence out.

Numbers: MySQL and MariaDB error references. The server's message text is dropped: it may quote
values. Must not import a database library.
"""

from __future__ import annotations

from agent.errors import PmsBusy, PmsDrift, PmsError, PmsRefused, PmsUnavailable
from drivers.base import RowTrouble

_REFUSED = frozenset({1044, 1045, 1129, 1142, 1143, 1227, 1251, 1370, 1524, 1698, 1820, 1862, 3118})
_EXPIRED = frozenset({1820, 1862})  # ER_MUST_CHANGE_PASSWORD, ..._LOGIN
_BUSY = frozenset({1040, 1041, 1203, 1205, 1213, 1226, 1317, 1637, 1969, 3024, 4024, 4025})
_LOST = frozenset(
    {1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003, 2005, 2006}
    | {2012, 2013, 2014, 2026, 2027, 2055}
)
_CRASHED = frozenset({126, 127, 134, 144, 145, 1034, 1035, 1194, 1195, 1712, 1815})
_DRIFT = frozenset({1051, 1054, 1072, 1109, 1146, 1176, 1356, 1412, 1932})
_ROW = frozenset({1153, 1301, 1366, 3854})
MISSING_SETTING = 1193
SYNTAX = 1064


def consequence(number: int, host: str = "") -> PmsError | RowTrouble:
    """The exception to raise for a server or client error number."""
    error: PmsError | RowTrouble
    if number in _REFUSED:
        code = "pms.right_missing" if number in {1142, 1143, 1227, 1370} else "pms.auth_refused"
        if number in _EXPIRED:
            code = "pms.password_expired"
        error = PmsRefused(code, number=number, host=host)
    elif number in _BUSY:
        error = PmsBusy(number=number)
    elif number in _LOST:
        error = PmsUnavailable(number=number, host=host)
    elif number in _CRASHED:
        error = PmsDrift("pms.table_crashed", number=number)
    elif number == 1049:
        error = PmsDrift("pms.database_missing", number=number)
    elif number in _DRIFT:
        error = PmsDrift(number=number)
    elif number in _ROW:
        error = RowTrouble("row.undeliverable")
    else:
        error = PmsUnavailable("pms.error", number=number)
    return error
