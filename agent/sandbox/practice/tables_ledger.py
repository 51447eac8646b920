"""Sample practice tables: claims, payments, adjustments and insurance coverage.

Only the shape of the rows, in the notation of ``schema.table``; imports nothing else of ours.
"""

from __future__ import annotations

from agent.sandbox.practice.schema import Table, table

LEDGER: tuple[Table, ...] = (
    table(
        "claim",
        """
        ClaimNum pk, PatNum bi*>patient, DateService d, DateSent d, ClaimStatus c1?,
        DateReceived d, PlanNum bi*>insplan, ProvTreat bi*>provider, ClaimFee dbl,
        InsPayEst dbl, InsPayAmt dbl, DedApplied dbl, PreAuthString vc40?, IsProsthesis c1?,
        PriorDate d, ReasonUnderPaid vc255?, ClaimNote vc400?, ClaimType vc255?,
        ProvBill bi*>provider, ReferringProv bi*>referral, RefNumString vc40?, PlaceService tiu,
        AccidentRelated c1?, AccidentDate d, AccidentST vc2?, EmployRelated tiu, IsOrtho tiu,
        OrthoRemainM tiu, OrthoDate d, PatRelat tiu, PlanNum2 bi*>insplan, PatRelat2 tiu,
        WriteOff dbl, Radiographs tiu, ClinicNum bi*>clinic, ClaimForm bi*, AttachedImages int*,
        AttachedModels int*, AttachedFlags vc255?, AttachmentID vc255?,
        CanadianMaterialsForwarded vc10*, CanadianReferralProviderNum vc20*,
        CanadianReferralReason ti*, CanadianIsInitialLower vc5*, CanadianDateInitialLower d,
        CanadianMandProsthMaterial ti*, CanadianIsInitialUpper vc5*, CanadianDateInitialUpper d,
        CanadianMaxProsthMaterial ti*, InsSubNum bi*>inssub, InsSubNum2 bi*>inssub,
        CanadaTransRefNum vc255*, CanadaEstTreatStartDate d, CanadaInitialPayment dbl*,
        CanadaPaymentMode tiu*, CanadaTreatDuration tiu*, CanadaNumAnticipatedPayments tiu*,
        CanadaAnticipatedPayAmount dbl*, PriorAuthorizationNumber vc255*,
        SpecialProgramCode ti*, UniformBillType vc255*, MedType ti*, AdmissionTypeCode vc255*,
        AdmissionSourceCode vc255*, PatientStatusCode vc255*, CustomTracking bi*>definition,
        DateResent d, CorrectionType ti*, ClaimIdentifier vc255*, OrigRefNum vc255*,
        ProvOrderOverride bi*>provider, OrthoTotalM tiu*, ShareOfCost dbl*,
        SecUserNumEntry bi*>userod, SecDateEntry d, SecDateTEdit ts,
        OrderingReferralNum bi*>referral, DateSentOrig d, DateIllnessInjuryPreg d,
        DateIllnessInjuryPregQualifier si*, DateOther d, DateOtherQualifier si*,
        IsOutsideLab ti*, SecurityHash vc255* @23.3.38, Narrative txt* @24.1.23
        """,
        """
        indexPatNum(PatNum) !22.1, indexPlanNum(PlanNum), InsSubNum, InsSubNum2, CustomTracking,
        ProvOrderOverride, SecUserNumEntry,
        indexOutClaimCovering(PlanNum ClaimStatus ClaimType PatNum ClaimNum DateService ProvTreat
            ClaimFee ClinicNum),
        OrderingReferralNum, ProvBill, ProvTreat, ClinicNum,
        PatStatusTypeDate(PatNum ClaimStatus ClaimType DateSent) @22.1
        """,
    ),
    table(
        "claimproc",
        """
        ClaimProcNum pk, ProcNum bi*>procedurelog, ClaimNum bi*>claim, PatNum bi*>patient,
        ProvNum bi*>provider, FeeBilled dbl, InsPayEst dbl, DedApplied dbl, Status tiu,
        InsPayAmt dbl, Remarks vc255?, ClaimPaymentNum bi*>claimpayment, PlanNum bi*>insplan,
        DateCP d, WriteOff dbl, CodeSent vc15?, AllowedOverride dbl*, Percentage ti=-1,
        PercentOverride ti=-1, CopayAmt dbl=-1, NoBillIns tiu, PaidOtherIns dbl=-1, BaseEst dbl,
        CopayOverride dbl=-1, ProcDate d, DateEntry d, LineNumber tiu*, DedEst dbl*,
        DedEstOverride dbl*, InsEstTotal dbl*, InsEstTotalOverride dbl*,
        PaidOtherInsOverride dbl*, EstimateNote vc255*, WriteOffEst dbl*,
        WriteOffEstOverride dbl*, ClinicNum bi*>clinic, InsSubNum bi*>inssub, PaymentRow int*,
        PayPlanNum bi*, ClaimPaymentTracking bi*>definition, SecUserNumEntry bi*>userod,
        SecDateEntry d, SecDateTEdit ts, DateSuppReceived d, DateInsFinalized d, IsTransfer ti*,
        ClaimAdjReasonCodes vc255* @22.1, IsOverpay ti* @23.1, SecurityHash vc255* @23.3.38
        """,
        """
        indexPatNum(PatNum), indexPlanNum(PlanNum), indexClaimNum(ClaimNum),
        indexProvNum(ProvNum), indexProcNum(ProcNum), indexClaimPaymentNum(ClaimPaymentNum),
        ClinicNum, InsSubNum, Status, PayPlanNum,
        indexCPNSIPA(ClaimPaymentNum Status InsPayAmt), indexPNPD(ProvNum ProcDate),
        indexPNDCP(ProvNum DateCP), ClaimPaymentTracking, SecUserNumEntry,
        indexAcctCov(ProcNum PlanNum Status InsPayAmt InsPayEst WriteOff NoBillIns), DateCP,
        DateSuppReceived,
        indexAgingCovering(Status PatNum DateCP PayPlanNum InsPayAmt WriteOff InsPayEst ProcDate
            ProcNum),
        indexTxFinder(InsSubNum ProcNum Status ProcDate PatNum InsPayAmt InsPayEst),
        indexOutClaimCovering(ClaimNum ClaimPaymentNum InsPayAmt DateCP IsTransfer),
        SecDateTEditPN(SecDateTEdit PatNum) @21.4.1
        """,
    ),
    table(
        "claimpayment",
        """
        ClaimPaymentNum pk, CheckDate d, CheckAmt dbl, CheckNum vc25?, BankBranch vc25?,
        Note vc255?, ClinicNum bi*>clinic, DepositNum bi*, CarrierName vc255?, DateIssued d,
        IsPartial ti*, PayType bi*>definition, SecUserNumEntry bi*>userod, SecDateEntry d,
        SecDateTEdit ts, PayGroup bi*>definition
        """,
        """
        DepositNum, PayType, SecUserNumEntry, CheckDate, PayGroup, ClinicNum
        """,
    ),
    table(
        "payment",
        """
        PayNum pk, PayType bi*>definition, PayDate d, PayAmt dbl, CheckNum vc25?,
        BankBranch vc25?, PayNote txt*, IsSplit tiu, PatNum bi*>patient, ClinicNum bi*>clinic,
        DateEntry d, DepositNum bi*, Receipt txt*, IsRecurringCC ti*,
        SecUserNumEntry bi*>userod, SecDateTEdit ts, PaymentSource ti*, ProcessStatus ti*,
        RecurringChargeDate d, ExternalId vc255*, PaymentStatus ti*, IsCcCompleted ti* @22.1,
        MerchantFee dbl* @23.1.16
        """,
        """
        indexPatNum(PatNum), DepositNum, SecUserNumEntry, ClinicNum, PayType @22.1,
        ProcessStatus @22.1
        """,
    ),
    table(
        "paysplit",
        """
        SplitNum pk, SplitAmt dbl, PatNum bi*>patient, ProcDate d, PayNum bi*>payment,
        IsDiscount tiu, DiscountType tiu, ProvNum bi*>provider, PayPlanNum bi*, DatePay d,
        ProcNum bi*>procedurelog, DateEntry d, UnearnedType bi*>definition,
        ClinicNum bi*>clinic, SecUserNumEntry bi*>userod, SecDateTEdit ts, FSplitNum bi*,
        AdjNum bi*>adjustment, PayPlanChargeNum bi*, PayPlanDebitType ti* @22.1,
        SecurityHash vc255* @21.4.1
        """,
        """
        indexPatNum(PatNum), ProcNum, PayNum, ClinicNum, DatePay, PayPlanNum, SecUserNumEntry,
        PrepaymentNum(FSplitNum), indexPNAmt(ProcNum SplitAmt), AdjNum, PayPlanChargeNum,
        ProvNum, SecDateTEditPN(SecDateTEdit PatNum) @21.4.1
        """,
    ),
    table(
        "adjustment",
        """
        AdjNum pk, AdjDate d, AdjAmt dbl, PatNum bi*>patient, AdjType bi*>definition,
        ProvNum bi*>provider, AdjNote txt?, ProcDate d, ProcNum bi*>procedurelog, DateEntry d,
        ClinicNum bi*>clinic, StatementNum bi*, SecUserNumEntry bi*>userod, SecDateTEdit ts,
        TaxTransID bi*
        """,
        """
        indexPatNum(PatNum), ClinicNum, StatementNum, ProcNum, indexProvNum(ProvNum),
        SecUserNumEntry, indexPNAmt(ProcNum AdjAmt), AdjDatePN(AdjDate PatNum), TaxTransID,
        SecDateTEditPN(SecDateTEdit PatNum) @21.4.1
        """,
    ),
    table(
        "carrier",
        """
        CarrierNum pk, CarrierName vc255?, Address vc255?, Address2 vc255?, City vc255?,
        State vc255?, Zip vc255?, Phone vc255?, ElectID vc255?, NoSendElect tiu, IsCDA tiu*,
        CDAnetVersion vc100?, CanadianNetworkNum bi*, IsHidden ti*,
        CanadianEncryptionMethod ti*, CanadianSupportedTypes int*, SecUserNumEntry bi*>userod,
        SecDateEntry d, SecDateTEdit ts, TIN vc255*, CarrierGroupName bi*>definition,
        ApptTextBackColor int*, IsCoinsuranceInverted ti*, TrustedEtransFlags ti*,
        CobInsPaidBehaviorOverride ti*, EraAutomationOverride ti*,
        OrthoInsPayConsolidate ti* @23.1
        """,
        """
        SecUserNumEntry, CarrierNumName(CarrierNum CarrierName), CanadianNetworkNum,
        CarrierGroupName
        """,
    ),
    table(
        "insplan",
        """
        PlanNum pk, GroupName vc50?, GroupNum vc25?, PlanNote txt*, FeeSched bi*>feesched,
        PlanType c1?, ClaimFormNum bi*, UseAltCode tiu, ClaimsUseUCR tiu,
        CopayFeeSched bi*>feesched, EmployerNum bi*, CarrierNum bi*>carrier,
        AllowedFeeSched bi*>feesched, TrojanID vc100?, DivisionNo vc255?, IsMedical tiu*,
        FilingCode bi*, DentaideCardSequence tiu*, ShowBaseUnits ti*, CodeSubstNone ti*,
        IsHidden ti*, MonthRenew ti*, FilingCodeSubtype bi*, CanadianPlanFlag vc5*,
        CanadianDiagnosticCode vc255*, CanadianInstitutionCode vc255*, RxBIN vc255*,
        CobRule ti*, SopCode vc255*, SecUserNumEntry bi*>userod, SecDateEntry d,
        SecDateTEdit ts, HideFromVerifyList ti*, OrthoType ti*, OrthoAutoProcFreq ti*,
        OrthoAutoProcCodeNumOverride bi*, OrthoAutoFeeBilled dbl*, OrthoAutoClaimDaysWait int*,
        BillingType bi*>definition, HasPpoSubstWriteoffs ti*, ExclusionFeeRule ti*,
        ManualFeeSchedNum bi>feesched, IsBlueBookEnabled ti=1 @21.2,
        InsPlansZeroWriteOffsOnAnnualMaxOverride ti* @22.1,
        InsPlansZeroWriteOffsOnFreqOrAgingOverride ti* @22.1, PerVisitPatAmount dbl* @24.1,
        PerVisitInsAmount dbl* @24.1
        """,
        """
        CarrierNum, FilingCodeSubtype, TrojanID, SecUserNumEntry,
        CarrierNumPlanNum(CarrierNum PlanNum), OrthoAutoProcCodeNumOverride, BillingType,
        FeeSched, CopayFeeSched, ManualFeeSchedNum, AllowedFeeSched @22.1
        """,
    ),
    table(
        "inssub",
        """
        InsSubNum pk, PlanNum bi*>insplan, Subscriber bi*>patient, DateEffective d, DateTerm d,
        ReleaseInfo ti*, AssignBen ti*, SubscriberID vc255*, BenefitNotes txt*, SubscNote txt*,
        SecUserNumEntry bi*>userod, SecDateEntry d, SecDateTEdit ts
        """,
        """
        PlanNum, Subscriber, SecUserNumEntry
        """,
    ),
    table(
        "patplan",
        """
        PatPlanNum pk, PatNum bi*>patient, Ordinal tiu*, IsPending tiu*, Relationship tiu*,
        PatID vc100?, InsSubNum bi*>inssub, OrthoAutoFeeBilledOverride dbl=-1,
        OrthoAutoNextClaimDate d, SecDateTEntry dt, SecDateTEdit ts
        """,
        """
        indexPatNum(PatNum), InsSubNum, SecDateTEdit, SecDateTEntry
        """,
    ),
)
