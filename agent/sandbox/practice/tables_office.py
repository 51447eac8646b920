"""Sample practice tables: preferences, communication, logs, signals and housekeeping.

Only the shape of the rows, in the notation of ``schema.table``; imports nothing else of ours.
"""

from __future__ import annotations

from agent.sandbox.practice.schema import Table, table

OFFICE: tuple[Table, ...] = (
    table(
        "preference",
        """
        PrefName vc255, ValueString txt*, PrefNum pk, Comments txt?
        """,
        """
        PrefName
        """,
    ),
    table(
        "commlog",
        """
        CommlogNum pk, PatNum bi*>patient, CommDateTime dt, CommType bi*>definition, Note txt?,
        Mode_ tiu, SentOrReceived tiu, UserNum bi*>userod, Signature txt*, SigIsTopaz ti*,
        DateTStamp ts, DateTimeEnd dt, CommSource ti?, ProgramNum bi*, DateTEntry dt @22.2.1,
        ReferralNum bi*>referral @23.1, CommReferralBehavior ti* @23.1
        """,
        """
        PatNum, CommDateTime, CommType, ProgramNum,
        indexPNCDateCType(PatNum CommDateTime CommType), UserNum, ReferralNum @23.1
        """,
    ),
    table(
        "securitylog",
        """
        SecurityLogNum pk, PermType si*, UserNum bi*>userod, LogDateTime dt, LogText txt?,
        PatNum bi*>patient, CompName vc255*, FKey bi*, LogSource ti*, DefNum bi*,
        DefNumError bi*, DateTPrevious dt
        """,
        """
        PatNum, FKey, DefNum, DefNumError, UserNum, LogDateTime, PermType
        """,
    ),
    table(
        "securityloghash",
        """
        SecurityLogHashNum pk, SecurityLogNum bi*>securitylog, LogHash vc255*
        """,
        """
        SecurityLogNum
        """,
    ),
    table(
        "signalod",
        """
        SignalNum pk, DateViewing d, SigDateTime dt, FKey bi*, FKeyType vc255*, IType ti*,
        RemoteRole ti*, MsgValue txt*
        """,
        """
        indexSigDateTime(SigDateTime), FKey, IType
        """,
    ),
    table(
        "deletedobject",
        """
        DeletedObjectNum pk, ObjectNum bi*, ObjectType int*, DateTStamp ts
        """,
    ),
    table(
        "updatehistory",
        """
        UpdateHistoryNum pk, DateTimeUpdated dt, ProgramVersion vc255*, Signature txt @22.1
        """,
    ),
    table(
        "famaging",
        """
        PatNum pk, Bal_0_30 dbl*, Bal_31_60 dbl*, Bal_61_90 dbl*, BalOver90 dbl*, InsEst dbl*,
        BalTotal dbl*, PayPlanDue dbl*
        """,
    ),
    table(
        "entrylog",
        """
        EntryLogNum pk, UserNum bi*>userod, FKeyType ti*, FKey bi*, LogSource ti*,
        EntryDateTime dt
        """,
        """
        UserNum, FKey, EntryDateTime
        """,
    ),
    table(
        "task",
        """
        TaskNum pk, TaskListNum bi*, DateTask d, KeyNum bi*>patient, Descript txt?,
        TaskStatus tiu*, IsRepeating tiu*, DateType tiu*, FromNum bi*>task, ObjectType tiu*,
        DateTimeEntry dt, UserNum bi*>userod, DateTimeFinished dt*,
        PriorityDefNum bi*>definition, ReminderGroupId vc20*, ReminderType si*,
        ReminderFrequency int*, DateTimeOriginal dt, SecDateTEdit ts, DescriptOverride vc255*,
        IsReadOnly ti @22.1, TriageCategory bi*>definition @24.1
        """,
        """
        indexTaskListNum(TaskListNum), KeyNum, PriorityDefNum, SecDateTEdit, DateTimeOriginal,
        TaskStatus, UserNum, TriageCategory @24.1
        """,
    ),
    table(
        "document",
        """
        DocNum pk, Description vc255?, DateCreated dt*, DocCategory bi*>definition,
        PatNum bi*>patient, FileName vc255?, ImgType tiu, IsFlipped tiu, DegreesRotated flt*,
        ToothNumbers vc255?, Note mtxt*, SigIsTopaz tiu*, Signature txt?, CropX int*,
        CropY int*, CropW int*, CropH int*, WindowingMin int*, WindowingMax int*,
        MountItemNum bi*, DateTStamp ts, RawBase64 mtxt*, Thumbnail txt*, ExternalGUID vc255*,
        ExternalSource vc255*, ProvNum bi*>provider, IsCropOld tiu* @22.1,
        OcrResponseData txt* @22.1, ImageCaptureType ti @22.1, PrintHeading ti* @23.1
        """,
        """
        PatNum, PNDC(PatNum DocCategory), MountItemNum @22.1
        """,
    ),
)
