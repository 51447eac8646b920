"""Sample practice tables: patients and their contact rows, providers, clinics, definitions, users.

Only the shape of the rows, in the notation of ``schema.table``; imports nothing else of ours.
"""

from __future__ import annotations

from agent.sandbox.practice.schema import Table, table

PEOPLE: tuple[Table, ...] = (
    table(
        "patient",
        """
        PatNum pk, LName vc100?, FName vc100?, MiddleI vc100?, Preferred vc100?, PatStatus tiu,
        Gender tiu, Position tiu, Birthdate d, SSN vc100?, Address vc100?, Address2 vc100?,
        City vc100?, State vc100?, Zip vc100?, HmPhone vc30?, WkPhone vc30?,
        WirelessPhone vc30?, Guarantor bi*>patient, CreditType c1?, Email vc100?,
        Salutation vc100?, EstBalance dbl, PriProv bi*>provider, SecProv bi*>provider,
        FeeSched bi*>feesched, BillingType bi*>definition, ImageFolder vc100?, AddrNote txt?,
        FamFinUrgNote txt?, MedUrgNote vc255?, ApptModNote vc255?, StudentStatus c1?,
        SchoolName vc255*, ChartNumber vc100, MedicaidID vc20?, Bal_0_30 dbl, Bal_31_60 dbl,
        Bal_61_90 dbl, BalOver90 dbl, InsEst dbl, BalTotal dbl, EmployerNum bi*,
        EmploymentNote vc255?, County vc255?, GradeLevel ti, Urgency ti, DateFirstVisit d,
        ClinicNum bi*>clinic, HasIns vc255?, TrophyFolder vc255?, PlannedIsDone tiu*,
        Premed tiu*, Ward vc255?, PreferConfirmMethod tiu*, PreferContactMethod tiu*,
        PreferRecallMethod tiu*, SchedBeforeTime tm?, SchedAfterTime tm?, SchedDayOfWeek tiu*,
        Language vc100?, AdmitDate d, Title vc15?, PayPlanDue dbl*, SiteNum bi*, DateTStamp ts,
        ResponsParty bi*>patient, CanadianEligibilityCode ti*, AskToArriveEarly int*,
        PreferContactConfidential ti*, SuperFamily bi*>patient, TxtMsgOk ti*,
        SmokingSnoMed vc32*, Country vc255*, DateTimeDeceased dt, BillingCycleDay int=1,
        SecUserNumEntry bi*>userod, SecDateEntry d, HasSuperBilling ti*, PatNumCloneFrom bi*,
        DiscountPlanNum bi*, HasSignedTil ti*, ShortCodeOptIn ti*, SecurityHash vc255* @21.4.1
        """,
        """
        indexLName(LName(10)), indexFName(FName(10)), indexLFName(LName FName),
        indexGuarantor(Guarantor), ResponsParty, SuperFamily, SiteNum, PatStatus, Email,
        ChartNumber, SecUserNumEntry, HmPhone, WirelessPhone, WkPhone, PatNumCloneFrom,
        DiscountPlanNum, FeeSched, SecDateEntry, PriProv, SecProv,
        ClinicPatStatus(ClinicNum PatStatus) @22.1, BirthdateStatus(Birthdate PatStatus) @22.1
        """,
    ),
    table(
        "patientnote",
        """
        PatNum pk, FamFinancial txt?, ApptPhone txt?, Medical txt?, Service txt?,
        MedicalComp txt?, Treatment txt?, ICEName vc255*, ICEPhone vc30*,
        OrthoMonthsTreatOverride int=-1, DateOrthoPlacementOverride d, SecDateTEntry dt,
        SecDateTEdit ts, Consent ti*, UserNumOrthoLocked bi*>userod @23.1, Pronoun ti* @22.2.1
        """,
        """
        SecDateTEntry, SecDateTEdit
        """,
    ),
    table(
        "commoptout",
        """
        CommOptOutNum pk, PatNum bi*>patient, OptOutSms int*, OptOutEmail int*
        """,
        """
        PatNum
        """,
    ),
    table(
        "patrestriction",
        """
        PatRestrictionNum pk, PatNum bi*>patient, PatRestrictType ti*
        """,
        """
        PatNumRestrictType(PatNum PatRestrictType)
        """,
    ),
    table(
        "phonenumber",
        """
        PhoneNumberNum pk, PatNum bi*>patient, PhoneNumberVal vc255?, PhoneNumberDigits vc30*,
        PhoneType ti*
        """,
        """
        PatNum, PhoneNumberVal, PatPhoneDigits(PatNum PhoneNumberDigits), PhoneNumberDigits
        """,
    ),
    table(
        "patientlink",
        """
        PatientLinkNum pk, PatNumFrom bi*>patient, PatNumTo bi*>patient, LinkType ti*,
        DateTimeLink dt
        """,
        """
        PatNumFrom, PatNumTo
        """,
    ),
    table(
        "patfield",
        """
        PatFieldNum pk, PatNum bi*>patient, FieldName vc255?, FieldValue txt?,
        SecUserNumEntry bi*>userod, SecDateEntry d, SecDateTEdit ts
        """,
        """
        PatNum, SecUserNumEntry
        """,
    ),
    table(
        "patfielddef",
        """
        PatFieldDefNum pk, FieldName vc255?, FieldType ti*, PickList txt*, ItemOrder int*,
        IsHidden ti*
        """,
    ),
    table(
        "patfieldpickitem",
        """
        PatFieldPickItemNum pk, PatFieldDefNum bi>patfielddef, Name vc255, Abbreviation vc255,
        IsHidden ti, ItemOrder int
        """,
        """
        PatFieldDefNum
        """,
        since="22.1",
    ),
    table(
        "refattach",
        """
        RefAttachNum pk, ReferralNum bi*>referral, PatNum bi*>patient, ItemOrder si, RefDate d,
        RefType ti*, RefToStatus tiu*, Note txt?, IsTransitionOfCare ti*,
        ProcNum bi*>procedurelog, DateProcComplete d, ProvNum bi*>provider, DateTStamp ts
        """,
        """
        PatNum, ProcNum, ProvNum, ReferralNum
        """,
    ),
    table(
        "referral",
        """
        ReferralNum pk, LName vc100?, FName vc100?, MName vc100?, SSN vc9?, UsingTIN tiu,
        Specialty bi*>definition, ST vc2?, Telephone vc10?, Address vc100?, Address2 vc100?,
        City vc100?, Zip vc10?, Note txt?, Phone2 vc30?, IsHidden tiu, NotPerson tiu,
        Title vc255?, EMail vc255?, PatNum bi*>patient, NationalProvID vc255?, Slip bi*,
        IsDoctor ti*, IsTrustedDirect ti*, DateTStamp ts, IsPreferred ti*,
        BusinessName vc255* @22.1, DisplayNote vc4000* @22.1
        """,
    ),
    table(
        "custreference",
        """
        CustReferenceNum pk, PatNum bi*>patient, DateMostRecent d, Note vc255*, IsBadRef ti*
        """,
        """
        PatNum
        """,
    ),
    table(
        "provider",
        """
        ProvNum pk, Abbr vc255?, ItemOrder si, LName vc100?, FName vc100?, MI vc100?,
        Suffix vc100?, FeeSched bi*>feesched, Specialty bi*>definition, SSN vc12?,
        StateLicense vc15?, DEANum vc15?, IsSecondary tiu, ProvColor int, IsHidden tiu,
        UsingTIN tiu, BlueCrossID vc25?, SigOnFile tiu=1, MedicaidID vc20?, OutlineColor int,
        SchoolClassNum bi*, NationalProvID vc255?, CanadianOfficeNum vc100?, DateTStamp ts,
        AnesthProvType bi*, TaxonomyCodeOverride vc255*, IsCDAnet ti*, EcwID vc255*,
        StateRxID vc255*, IsNotPerson ti*, StateWhereLicensed vc50*, EmailAddressNum bi*,
        IsInstructor ti*, EhrMuStage int*, ProvNumBillingOverride bi*>provider, CustomID vc255*,
        ProvStatus ti*, IsHiddenReport ti*, IsErxEnabled ti*, Birthdate d, SchedNote vc255*,
        WebSchedDescript vc500*, WebSchedImageLocation vc255*, HourlyProdGoalAmt dbl*,
        DateTerm d, PreferredName vc100*
        """,
        """
        EmailAddressNum, ProvNumBillingOverride, FeeSched
        """,
    ),
    table(
        "clinic",
        """
        ClinicNum pk, Description vc255?, Address vc255?, Address2 vc255?, City vc255?,
        State vc255?, Zip vc255?, Phone vc255?, BankNumber vc255?, DefaultPlaceService tiu*,
        InsBillingProv bi*>provider, Fax vc50*, EmailAddressNum bi*, DefaultProv bi*>provider,
        SmsContractDate dt, SmsMonthlyLimit dbl*, IsMedicalOnly ti*, BillingAddress vc255*,
        BillingAddress2 vc255*, BillingCity vc255*, BillingState vc255*, BillingZip vc255*,
        PayToAddress vc255*, PayToAddress2 vc255*, PayToCity vc255*, PayToState vc255*,
        PayToZip vc255*, UseBillAddrOnClaims ti*, Region bi*>definition, ItemOrder int*,
        IsInsVerifyExcluded ti*, Abbr vc255*, MedLabAccountNum vc16*, IsConfirmEnabled ti*,
        IsConfirmDefault ti*, IsNewPatApptExcluded ti*, IsHidden ti*, ExternalID bi*,
        SchedNote vc255*, HasProcOnRx ti*, TimeZone vc75*, EmailAliasOverride vc255* @22.1
        """,
        """
        EmailAddressNum, DefaultProv, Region, ExternalID, InsBillingProv
        """,
    ),
    table(
        "clinicpref",
        """
        ClinicPrefNum pk, ClinicNum bi*>clinic, PrefName vc255*, ValueString txt*
        """,
        """
        ClinicNum
        """,
    ),
    table(
        "definition",
        """
        DefNum pk, Category tiu, ItemOrder si, ItemName vc255?, ItemValue vc255?, ItemColor int,
        IsHidden tiu
        """,
    ),
    table(
        "userod",
        """
        UserNum pk, UserName vc255?, Password vc255?, UserGroupNum bi*, EmployeeNum bi*,
        ClinicNum bi*>clinic, ProvNum bi*>provider, IsHidden ti*, TaskListInBox bi*,
        AnesthProvType int=3, DefaultHidePopups ti*, PasswordIsStrong ti*,
        ClinicIsRestricted ti*, InboxHidePopups ti*, UserNumCEMT bi*>userod, DateTFail dt,
        FailedAttempts tiu*, DomainUser vc255*, IsPasswordResetRequired ti*,
        MobileWebPin vc255*, MobileWebPinFailedAttempts tiu*, DateTLastLogin dt,
        EClipboardClinicalPin vc128* @23.1, BadgeId vc255* @24.1
        """,
        """
        UserGroupNum, ClinicNum, ProvNum
        """,
    ),
    table(
        "usergroup",
        """
        UserGroupNum pk, Description vc255?, UserGroupNumCEMT bi*
        """,
    ),
)
