//! Who counts, and when enough people agree.

use std::collections::BTreeSet;

use crate::artifact::{ArtifactRef, DecisionRecord, Verdict};
use crate::decide::draft::Draft;
use crate::hash::HashPrefix;
use crate::principal::Member;
use crate::refusal::{Refusal, Why};
use crate::state::State;

/// Records an approval, refusing those that cannot count; says whether the quorum is reached.
pub(super) fn approve(
    draft: &mut Draft<'_>,
    member: &Member,
    hash: Option<&HashPrefix>,
    note: &str,
) -> Result<bool, Refusal> {
    let ticket = draft.ticket();
    let Some(awaiting) = ticket.awaiting().cloned() else {
        return Err(draft.refuse("approve"));
    };
    let least = ticket.state.approval_role();
    if member.role < least {
        return Err(Refusal::role("approve", member.role, least));
    }
    check_hash(ticket.plans.as_slice(), &ticket.state, &awaiting, hash)?;
    if draft.policy().separate_requester && ticket.requester.as_ref() == Some(&member.id) {
        return Err(Refusal::new(
            Why::Requester,
            "You started this ticket, and this tenant wants somebody else to approve. Ask another approver.",
        ));
    }
    if ticket.decisions.iter().any(|d| d.member.as_ref() == Some(&member.id) && d.artifact == awaiting.hash) {
        return Err(Refusal::new(Why::Already, "Your approval is already recorded; another member has to add theirs."));
    }
    let record = DecisionRecord {
        artifact: awaiting.hash.clone(),
        member: Some(member.id.clone()),
        name: member.name.clone(),
        role: Some(member.role),
        via: Some(member.via),
        verdict: Verdict::Approved,
        note: note.to_owned(),
        at: draft.now(),
    };
    draft.next().decisions.push(record);
    Ok(approvers(&draft.next().decisions, &awaiting) >= needed(draft))
}

/// How many distinct members must approve what waits.
pub(super) fn needed(draft: &Draft<'_>) -> usize {
    let by_one = draft.ticket().state == State::AwaitingRefinementApproval;
    if by_one { 1 } else { draft.policy().required_approvals as usize }
}

fn approvers(decisions: &[DecisionRecord], awaiting: &ArtifactRef) -> usize {
    let for_it = decisions.iter().filter(|d| d.verdict == Verdict::Approved && d.artifact == awaiting.hash);
    for_it.filter_map(|d| d.member.as_ref()).collect::<BTreeSet<_>>().len()
}

/// A plan or diff is approved by hash; an older plan's hash is refused with what changed since.
fn check_hash(
    plans: &[ArtifactRef],
    state: &State,
    awaiting: &ArtifactRef,
    hash: Option<&HashPrefix>,
) -> Result<(), Refusal> {
    let Some(hash) = hash else {
        if *state == State::AwaitingRefinementApproval {
            return Ok(());
        }
        return Err(Refusal::new(
            Why::HashNeeded,
            format!("Say exactly what you approve: `approve {}`.", awaiting.hash.short()),
        ));
    };
    if awaiting.hash.matches(hash) {
        return Ok(());
    }
    let current = awaiting.hash.short();
    let message = match plans.iter().position(|plan| plan.hash.matches(hash)) {
        Some(at) if *state == State::AwaitingPlanApproval => {
            let since: Vec<String> =
                plans.iter().skip(at + 1).map(|plan| format!("v{}: {}", plan.version, plan.changed)).collect();
            format!(
                "`{}` is plan v{}, which is no longer the one that waits. Changed since: {}. Read plan v{} and, if you agree, say `approve {current}`.",
                hash.as_str(),
                at + 1,
                since.join("; "),
                awaiting.version
            )
        }
        _ => format!("`{}` names nothing that waits here. What waits is `approve {current}`.", hash.as_str()),
    };
    Err(Refusal::new(Why::Stale, message))
}
