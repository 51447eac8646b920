"""Rows a new practice starts with: definitions, fees, preferences, recall types, lists of names.

Numbers follow a stock installation where the vendor documents them; texts are ours. A database that
already has its own rows keeps them (``office``). Imports nothing of ours.
"""

from __future__ import annotations

from typing import NamedTuple


class Definition(NamedTuple):
    num: int
    category: int
    name: str
    value: str = ""


class Cat:
    """definition.Category, the ones the sample practice uses."""

    ADJUSTMENT = 1
    CONFIRMED = 2
    BILLING = 4
    PAYMENT = 10
    PROC = 11
    RECALL_STATUS = 13
    DIAGNOSIS = 16
    PRIORITY = 20
    BLOCKOUT = 25
    COMMLOG = 27
    UNEARNED = 29
    INS_PAYMENT = 32
    SPECIALTY = 35


DEFINITIONS: tuple[Definition, ...] = (
    Definition(8, 1, "Professional Discount", "-"),
    Definition(9, 1, "Cash Discount", "-"),
    Definition(14, 1, "Missed visit fee", "+"),
    Definition(17, 1, "NSF fee", "+"),
    Definition(19, 2, "Not Called", "NotCalled"),
    Definition(24, 2, "Unconfirmed", "Unconfirmed"),
    Definition(21, 2, "Appointment Confirmed", "Confirmed"),
    Definition(20, 2, "Left Msg", "LeftMsg"),
    Definition(22, 2, "Arrived", "Arrived"),
    Definition(23, 2, "Ready to go back", "Ready"),
    Definition(25, 2, "In Treatment Room", "In Room"),
    Definition(246, 2, "Front Desk", "FrontDesk"),
    Definition(252, 2, "E-mailed", "E-mailed"),
    Definition(255, 2, "Texted", "Texted"),
    Definition(289, 2, "eConfirmSent", "eConfirmSent"),
    Definition(40, 4, "Standard Account"),
    Definition(41, 4, "Bad Debt - Precollections"),
    Definition(42, 4, "Bad Debt - Sent to Collections"),
    Definition(69, 10, "Check"),
    Definition(70, 10, "Cash"),
    Definition(71, 10, "Credit Card"),
    Definition(73, 11, "Exams & Xrays"),
    Definition(74, 11, "Cleanings"),
    Definition(75, 11, "Fillings"),
    Definition(76, 11, "Endo"),
    Definition(77, 11, "Perio"),
    Definition(81, 11, "Crown & Bridge"),
    Definition(82, 11, "Oral Surgery"),
    Definition(83, 11, "Ortho"),
    Definition(84, 11, "Misc"),
    Definition(85, 11, "No Fee"),
    Definition(92, 13, "Appointment Scheduled", "AptSchd"),
    Definition(94, 13, "Call Back, Not Ready", "CallBak"),
    Definition(95, 13, "Patient Will Call Us", "CallUs"),
    Definition(97, 13, "Left Msg", "LeftMsg"),
    Definition(142, 13, "Mailed Postcard", "Mailed"),
    Definition(247, 13, "Sent Email", "Email"),
    Definition(293, 13, "Texted", "Texted"),
    Definition(115, 16, "Caries", "C"),
    Definition(116, 16, "Recurrent (Car)", "R"),
    Definition(120, 16, "Irrevers. Pulp.", "IP"),
    Definition(126, 16, "Cracked Tooth", "Cr"),
    Definition(146, 20, "1"),
    Definition(147, 20, "2"),
    Definition(153, 20, "3"),
    Definition(148, 20, "Wait"),
    Definition(201, 25, "Lunch", "NS"),
    Definition(202, 25, "Emergency", ""),
    Definition(203, 25, "Staff meeting", "NS"),
    Definition(235, 27, "ApptRelated", "APPT"),
    Definition(236, 27, "Insurance"),
    Definition(237, 27, "Financial", "FIN"),
    Definition(238, 27, "Recall", "RECALL"),
    Definition(239, 27, "Misc", "MISC"),
    Definition(283, 29, "Prepayment"),
    Definition(256, 32, "Check"),
    Definition(257, 32, "EFT", "N"),
    Definition(263, 35, "General"),
    Definition(264, 35, "Hygienist"),
)


class Code(NamedTuple):
    """``area``: 0 none, 1 surface, 2 tooth, 3 mouth, 4 quadrant. ``units`` of ten minutes."""

    code: str
    text: str
    abbr: str
    category: int
    fee: int  # cents
    units: int
    area: int = 3
    hygiene: bool = False
    covered: int = 80  # percent a usual plan pays


CODES: tuple[Code, ...] = (
    Code("D0120", "Periodic exam", "PerEx", 73, 5800, 1, covered=100),
    Code("D0140", "Limited exam, problem", "LimEx", 73, 8200, 2, covered=100),
    Code("D0150", "Comprehensive exam", "CmpEx", 73, 9900, 3, covered=100),
    Code("D0210", "Full mouth x-rays", "FMX", 73, 15800, 3, covered=100),
    Code("D0220", "Periapical x-ray", "PA", 73, 3400, 1, area=2, covered=100),
    Code("D0274", "Bitewings, four", "4BW", 73, 7600, 1, covered=100),
    Code("D0330", "Panoramic x-ray", "Pano", 73, 12900, 1, covered=100),
    Code("D1110", "Adult cleaning", "Pro", 74, 11250, 4, hygiene=True, covered=100),
    Code("D1120", "Child cleaning", "ProChild", 74, 8050, 3, hygiene=True, covered=100),
    Code("D1206", "Fluoride varnish", "FlVarn", 74, 4400, 1, hygiene=True, covered=100),
    Code("D1351", "Sealant", "Seal", 75, 6300, 1, area=2),
    Code("D2140", "Amalgam, 1 surface", "A1", 75, 16400, 3, area=1),
    Code("D2330", "Composite front, 1 surface", "C1", 75, 18500, 3, area=1),
    Code("D2391", "Composite back, 1 surface", "C1(P)", 75, 19950, 3, area=1),
    Code("D2392", "Composite back, 2 surfaces", "C2(P)", 75, 25600, 4, area=1),
    Code("D2393", "Composite back, 3 surfaces", "C3(P)", 75, 31225, 5, area=1),
    Code("D2740", "Ceramic crown", "AllCerCrn", 81, 142500, 9, area=2, covered=50),
    Code("D2750", "Crown, porcelain on metal", "PFM", 81, 134900, 9, area=2, covered=50),
    Code("D2950", "Core buildup", "BU", 81, 32500, 3, area=2, covered=50),
    Code("D3330", "Root canal, molar", "RCTMol", 76, 129575, 9, area=2, covered=50),
    Code("D4341", "Scaling, one quadrant", "SRP", 77, 28800, 6, area=4, hygiene=True),
    Code("D4910", "Perio maintenance", "PerioMaint", 77, 16350, 5, hygiene=True),
    Code("D7140", "Extraction", "Ext", 82, 21500, 4, area=2),
    Code("D7210", "Surgical extraction", "SurgExt", 82, 33800, 6, area=2),
    Code("D8080", "Orthodontics, adolescent", "OrthoAdol", 83, 560000, 6, covered=50),
    Code("D9944", "Night guard", "NG", 84, 52500, 3, covered=50),
    Code("D9986", "Missed appointment", "Missed", 85, 0, 1, covered=0),
    Code("D9987", "Cancelled appointment", "Cancelled", 85, 0, 1, covered=0),
    Code("~GRP~", "Group note", "GrpNote", 85, 0, 1, area=0, covered=0),
)

RECALL_TYPES: tuple[tuple[int, str, int, str, str, int], ...] = (
    # RecallTypeNum, Description, DefaultInterval, TimePattern, Procedures, AppendToSpecial
    (1, "Prophy", 6 << 16, "//XX/", "D1110", 1),
    (2, "Child Prophy", 0, "", "D1120", 1),
    (3, "Perio", 4 << 16, "", "D4910", 1),
    (4, "4BW", 1 << 24, "", "D0274", 1),
    (5, "Pano", 5 << 24, "", "D0330", 1),
)
RECALL_TRIGGERS: tuple[tuple[int, str], ...] = (
    (1, "D1110"), (1, "D1120"), (3, "D4910"), (3, "D4341"), (4, "D0274"), (5, "D0330"),
)  # fmt: skip

PREFERENCES: tuple[tuple[str, str], ...] = (
    ("ProcessSigsIntervalInSecs", "10"),
    ("ApptAutoRefreshRange", "4"),
    ("AppointmentTimeIncrement", "10"),
    ("AppointmentWithoutProcsDefaultLength", "30"),
    ("ApptsRequireProc", "0"),
    ("ApptsAllowOverlap", "0"),
    ("PracticeDefaultBillType", "40"),
    ("PracticeAddress", "12 Larch Walk"),
    ("PracticeCity", "Millbrook"),
    ("PracticeST", "NY"),
    ("PracticeZip", "10001"),
    ("RecallTypesShowingInList", "1,3"),
    ("RecallTypeSpecialProphy", "1"),
    ("RecallTypeSpecialChildProphy", "2"),
    ("RecallTypeSpecialPerio", "3"),
    ("RecallExcludeIfAnyFutureAppt", "0"),
    ("RecallDaysPast", "1095"),
    ("RecallDaysFuture", "7"),
    ("RecallMaxNumberReminders", "4"),
    ("AppointmentTimeArrivedTrigger", "22"),
    ("AppointmentTimeSeatedTrigger", "25"),
    ("AppointmentTimeDismissedTrigger", "246"),
    ("ApptEConfirmStatusSent", "289"),
    ("ApptEConfirmStatusAccepted", "21"),
    ("BrokenApptProcedure", "1"),
    ("TextMsgOkStatusTreatAsNo", "0"),
    ("LanguagesUsedByPatients", "Declined to Specify,spa"),
    ("AtoZfolderUsed", "1"),
    ("RandomPrimaryKeys", "0"),
    ("CorruptedDatabase", "0"),
    ("UpdateInProgressOnComputerName", ""),
    ("DatabaseIntegritiesWhiteList", ""),
    ("BalancesDontSubtractIns", "0"),
)

APPOINTMENT_TYPES: tuple[tuple[str, int, str], ...] = (
    ("Cleaning", -16711936, "///XXXXX//"),
    ("New patient", -256, "///XXXXXXXXX"),
    ("Crown", -16776961, "/" * 3 + "X" * 14),
    ("Emergency", -65536, "XXXXXX"),
)
PATIENT_FIELDS: tuple[tuple[str, int, str], ...] = (
    ("Pharmacy", 0, ""),
    ("VIP", 3, ""),
    ("Shirt size", 1, "S\r\nM\r\nL\r\nXL"),
    ("Insurance verified", 2, ""),
    ("Deposit", 4, ""),
)
APPOINTMENT_FIELDS: tuple[tuple[str, int, str], ...] = (
    ("Wheelchair", 1, "Yes\r\nNo"),
    ("Escort", 0, ""),
)
CARRIERS = (
    "Northlight Dental", "Harbor Mutual", "Blue Heron Benefits", "Old Mill Insurance",
    "Prairie Dental Plan", "Cedar Valley Health", "Sunrise PPO of the East",
    "Granite State Dental", "Atlas Workers' Fund", "First Orchard Life", "Lakeshore Assurance",
    "Union Guild Local 7 Trust",
)  # fmt: skip
EMPLOYERS = ("Mill & Sons", "Larch County", "Gull Transport", "Beacon School", "Tindle Foods")
LABORATORIES = ("White Pine Dental Lab", "Ceram-Art Lab", "Precision Arch Works")
REFERRAL_SOURCES = (
    "Web search", "Drive-by", "Postcard", "Radio spot", "Friend or family", "Insurance list",
    "School visit", "Health fair",
)  # fmt: skip
CLINIC_NAMES = ("Millbrook", "Harborside", "North Ridge", "Old Town", "Fairview", "Westgate")
