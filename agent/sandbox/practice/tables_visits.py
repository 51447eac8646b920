"""Sample practice tables: the schedule, recalls, procedures and clinical records.

Only the shape of the rows, in the notation of ``schema.table``; imports nothing else of ours.
"""

from __future__ import annotations

from agent.sandbox.practice.schema import Table, table

VISITS: tuple[Table, ...] = (
    table(
        "appointment",
        """
        AptNum pk, PatNum bi*>patient, AptStatus tiu, Pattern vc255?, Confirmed bi*>definition,
        TimeLocked ti*, Op bi*>operatory, Note txt?, ProvNum bi*>provider, ProvHyg bi*>provider,
        AptDateTime dt, NextAptNum bi*>appointment, UnschedStatus bi*>definition,
        IsNewPatient tiu, ProcDescript vc255?, Assistant bi*, ClinicNum bi*>clinic,
        IsHygiene tiu*, DateTStamp ts, DateTimeArrived dt*, DateTimeSeated dt*,
        DateTimeDismissed dt*, InsPlan1 bi*>insplan, InsPlan2 bi*>insplan,
        DateTimeAskedToArrive dt, ProcsColored txt*, ColorOverride int*,
        AppointmentTypeNum bi*>appointmenttype, SecUserNumEntry bi*>userod, SecDateTEntry dt,
        Priority ti*, ProvBarText vc60*, PatternSecondary vc255*, SecurityHash vc255* @21.4.1,
        ItemOrderPlanned int* @24.2.1
        """,
        """
        indexPatNum(PatNum), indexNextAptNum(NextAptNum), indexProvNum(ProvNum),
        indexProvHyg(ProvHyg), indexAptDateTime(AptDateTime), InsPlan1, InsPlan2,
        DateTimeArrived, AppointmentTypeNum, Op, SecUserNumEntry,
        StatusDate(AptStatus AptDateTime ClinicNum), Priority, UnschedStatus, ClinicNum,
        DateTStamp @22.1
        """,
    ),
    table(
        "histappointment",
        """
        HistApptNum pk, HistUserNum bi*>userod, HistDateTStamp dt, HistApptAction ti*,
        ApptSource ti*, AptNum bi*, PatNum bi*, AptStatus ti*, Pattern vc255*, Confirmed bi*,
        TimeLocked ti*, Op bi*, Note txt*, ProvNum bi*, ProvHyg bi*, AptDateTime dt,
        NextAptNum bi*, UnschedStatus bi*, IsNewPatient ti*, ProcDescript vc255*, Assistant bi*,
        ClinicNum bi*, IsHygiene ti*, DateTStamp ts, DateTimeArrived dt, DateTimeSeated dt,
        DateTimeDismissed dt, InsPlan1 bi*, InsPlan2 bi*, DateTimeAskedToArrive dt,
        ProcsColored txt*, ColorOverride int*, AppointmentTypeNum bi*, SecUserNumEntry bi*,
        SecDateTEntry dt, Priority ti*, ProvBarText vc60*, PatternSecondary vc255*,
        SecurityHash vc255* @21.4.1, ItemOrderPlanned int* @24.2.1
        """,
        """
        HistUserNum, AptNum, PatNum, Confirmed, Op, ProvNum, ProvHyg, NextAptNum, UnschedStatus,
        Assistant, ClinicNum, InsPlan1, InsPlan2, AppointmentTypeNum, SecUserNumEntry,
        HistDateTStamp @24.2.1
        """,
    ),
    table(
        "appointmenttype",
        """
        AppointmentTypeNum pk, AppointmentTypeName vc255*, AppointmentTypeColor int*,
        ItemOrder int*, IsHidden ti*, Pattern vc255*, CodeStr vc4000*,
        CodeStrRequired vc4000* @22.4.1, RequiredProcCodesNeeded ti* @22.4.1,
        BlockoutTypes vc255* @22.4.1
        """,
    ),
    table(
        "operatory",
        """
        OperatoryNum pk, OpName vc255?, Abbrev vc255?, ItemOrder si, IsHidden tiu,
        ProvDentist bi*>provider, ProvHygienist bi*>provider, IsHygiene tiu,
        ClinicNum bi*>clinic, DateTStamp ts, SetProspective ti*, IsWebSched ti*,
        IsNewPatAppt ti*, OperatoryType bi>definition @22.4.1
        """,
        """
        ProvDentist, ProvHygienist, ClinicNum
        """,
    ),
    table(
        "schedule",
        """
        ScheduleNum pk, SchedDate d, StartTime tm=00:00:00, StopTime tm=00:00:00, SchedType tiu,
        ProvNum bi*>provider, BlockoutType bi*>definition, Note txt?, Status tiu,
        EmployeeNum bi*, DateTStamp ts, ClinicNum bi*>clinic
        """,
        """
        ProvNum, SchedDate, ClinicNumSchedType(ClinicNum SchedType), BlockoutType,
        EmpDateTypeStopTime(EmployeeNum SchedDate SchedType StopTime)
        """,
    ),
    table(
        "scheduleop",
        """
        ScheduleOpNum pk, ScheduleNum bi*>schedule, OperatoryNum bi*>operatory
        """,
        """
        ScheduleNum, OperatoryNum
        """,
    ),
    table(
        "apptfield",
        """
        ApptFieldNum pk, AptNum bi*>appointment, FieldName vc255*, FieldValue txt*
        """,
        """
        AptNum
        """,
    ),
    table(
        "apptfielddef",
        """
        ApptFieldDefNum pk, FieldName vc255*, FieldType ti*, PickList txt*, ItemOrder int @23.1
        """,
    ),
    table(
        "recall",
        """
        RecallNum pk, PatNum bi*>patient, DateDueCalc d, DateDue d, DatePrevious d,
        RecallInterval int, RecallStatus bi*>definition, Note txt?, IsDisabled tiu,
        DateTStamp ts, RecallTypeNum bi*>recalltype, DisableUntilBalance dbl*,
        DisableUntilDate d, DateScheduled d, Priority ti*, TimePatternOverride vc255*
        """,
        """
        PatNum, DatePrevious, IsDisabled, RecallTypeNum, DateScheduled,
        DateDisabledType(DateDue IsDisabled RecallTypeNum DateScheduled) @22.1, DateDue !22.1
        """,
    ),
    table(
        "recalltype",
        """
        RecallTypeNum pk, Description vc255?, DefaultInterval int*, TimePattern vc255?,
        Procedures vc255?, AppendToSpecial ti*
        """,
    ),
    table(
        "recalltrigger",
        """
        RecallTriggerNum pk, RecallTypeNum bi*>recalltype, CodeNum bi*>procedurecode
        """,
        """
        CodeNum, RecallTypeNum
        """,
    ),
    table(
        "procedurelog",
        """
        ProcNum pk, PatNum bi*>patient, AptNum bi*>appointment, OldCode vc15, ProcDate d,
        ProcFee dbl, Surf vc10?, ToothNum vc2?, ToothRange vc100?, Priority bi*>definition,
        ProcStatus tiu, ProvNum bi*>provider, Dx bi*>definition, PlannedAptNum bi*>appointment,
        PlaceService tiu, Prosthesis c1?, DateOriginalProsth d, ClaimNote vc80?, DateEntryC d,
        ClinicNum bi*>clinic, MedicalCode vc15?, DiagnosticCode vc255?, IsPrincDiag tiu*,
        ProcNumLab bi*>procedurelog, BillingTypeOne bi*>definition,
        BillingTypeTwo bi*>definition, CodeNum bi*>procedurecode, CodeMod1 c2?, CodeMod2 c2?,
        CodeMod3 c2?, CodeMod4 c2?, RevCode vc45?, UnitQty int*, BaseUnits int*, StartTime int*,
        StopTime int*, DateTP d*, SiteNum bi*, HideGraphics ti*, CanadianTypeCodes vc20*,
        ProcTime tm*, ProcTimeEnd tm*, DateTStamp ts, Prognosis bi*>definition, DrugUnit ti*,
        DrugQty flt*, UnitQtyType ti*, StatementNum bi*, IsLocked ti*, BillingNote vc255*,
        RepeatChargeNum bi*, SnomedBodySite vc255*, DiagnosticCode2 vc255*,
        DiagnosticCode3 vc255*, DiagnosticCode4 vc255*, ProvOrderOverride bi*>provider,
        Discount dbl*, IsDateProsthEst ti*, IcdVersion tiu*, IsCpoe ti*,
        SecUserNumEntry bi*>userod, SecDateEntry dt, DateComplete d,
        OrderingReferralNum bi*>referral, TaxAmt dbl*, Urgency ti*, DiscountPlanAmt dbl*
        """,
        """
        CodeNum, PlannedAptNum, BillingTypeOne, BillingTypeTwo, Prognosis,
        procedurelog_ProcNumLab(ProcNumLab), StatementNum, RepeatChargeNum, ProvOrderOverride,
        indexPNPSCN(PatNum ProcStatus ClinicNum), indexPNPD(ProvNum ProcDate), SecUserNumEntry,
        ClinicNum, indexAgingCovering(PatNum ProcStatus ProcFee UnitQty BaseUnits ProcDate),
        OrderingReferralNum, PatStatusCodeDate(PatNum ProcStatus CodeNum ProcDate),
        DateComplete, RadiologyProcs(AptNum CodeNum ProcStatus IsCpoe ProvNum), Priority,
        DateClinicStatus(ProcDate ClinicNum ProcStatus) @22.1,
        DateTStampPN(DateTStamp PatNum) @21.4.1
        """,
    ),
    table(
        "procedurecode",
        """
        CodeNum pk, ProcCode vc15, Descript vc255?, AbbrDesc vc50?, ProcTime vc24?,
        ProcCat bi*>definition, TreatArea tiu, NoBillIns tiu, IsProsth tiu, DefaultNote txt?,
        IsHygiene tiu, GTypeNum si, AlternateCode1 vc15?, MedicalCode vc15?, IsTaxed tiu*,
        PaintType ti*, GraphicColor int*, LaymanTerm vc255?, IsCanadianLab tiu*, PreExisting ti,
        BaseUnits int*, SubstitutionCode vc25?, SubstOnlyIf int*, DateTStamp ts,
        IsMultiVisit ti*, DrugNDC vc255*, RevenueCodeDefault vc255*,
        ProvNumDefault bi*>provider, CanadaTimeUnits dbl*, IsRadiology ti*,
        DefaultClaimNote txt*, DefaultTPNote txt*, BypassGlobalLock ti*, TaxCode vc16*,
        PaintText vc255*, AreaAlsoToothRange ti* @22.1, DiagnosticCodes vc255* @22.1
        """,
        """
        ProcCode, ProvNumDefault
        """,
    ),
    table(
        "procnote",
        """
        ProcNoteNum pk, PatNum bi*>patient, ProcNum bi*>procedurelog, EntryDateTime dt,
        UserNum bi*>userod, Note txt?, SigIsTopaz tiu*, Signature txt?
        """,
        """
        PatNum, ProcNum, UserNum
        """,
    ),
    table(
        "perioexam",
        """
        PerioExamNum pk, PatNum bi*>patient, ExamDate d, ProvNum bi*>provider,
        DateTMeasureEdit dt, Note txt*
        """,
        """
        PatNum
        """,
    ),
    table(
        "periomeasure",
        """
        PerioMeasureNum pk, PerioExamNum bi*>perioexam, SequenceType tiu, IntTooth si*,
        ToothValue si*, MBvalue si*, Bvalue si*, DBvalue si*, MLvalue si*, Lvalue si*,
        DLvalue si*, SecDateTEntry dt, SecDateTEdit ts
        """,
        """
        PerioExamNum, SecDateTEntry, SecDateTEdit
        """,
    ),
    table(
        "labcase",
        """
        LabCaseNum pk, PatNum bi*>patient, LaboratoryNum bi*>laboratory, AptNum bi*>appointment,
        PlannedAptNum bi*>appointment, DateTimeDue dt, DateTimeCreated dt, DateTimeSent dt,
        DateTimeRecd dt, DateTimeChecked dt, ProvNum bi*>provider, Instructions txt?,
        LabFee dbl*, DateTStamp ts, InvoiceNum vc255*
        """,
        """
        indexAptNum(AptNum)
        """,
    ),
    table(
        "laboratory",
        """
        LaboratoryNum pk, Description vc255?, Phone vc255?, Notes txt?, Slip bi*,
        Address vc255*, City vc255*, State vc255*, Zip vc255*, Email vc255*,
        WirelessPhone vc255*, IsHidden ti*
        """,
    ),
    table(
        "fee",
        """
        FeeNum pk, Amount dbl, OldCode vc15, FeeSched bi*>feesched, UseDefaultFee tiu,
        UseDefaultCov tiu, CodeNum bi*>procedurecode, ClinicNum bi*>clinic,
        ProvNum bi*>provider, SecUserNumEntry bi*>userod, SecDateEntry d, SecDateTEdit ts
        """,
        """
        FeeSched, CodeNum, SecUserNumEntry, ClinicNum, ProvNum
        """,
    ),
    table(
        "feesched",
        """
        FeeSchedNum pk, Description vc255?, FeeSchedType int*, ItemOrder int*, IsHidden ti*,
        IsGlobal ti*, SecUserNumEntry bi*>userod, SecDateEntry d, SecDateTEdit ts
        """,
        """
        SecUserNumEntry
        """,
    ),
)
