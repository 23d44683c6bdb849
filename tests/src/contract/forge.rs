//! What every `Forge` promises.

use std::sync::Arc;

use domain::name::CommitSha;
use domain::ticket::Target;
use engine::port::{Forge, PullRequestState, PullRequestText};

use crate::contract::table::tenant;
use crate::contract::{granted, lapsed};

fn text(title: &str) -> PullRequestText {
    PullRequestText { title: title.to_owned(), body: "body".to_owned(), draft: true }
}

/// Runs the suite on two branches that exist, at these commits.
pub async fn forge(forge: Arc<dyn Forge>, one: (&Target, &CommitSha), two: (&Target, &CommitSha)) {
    let ctx = tenant("ten_contract");
    assert_eq!(forge.find(&ctx, one.0).await.unwrap(), None);
    let late = forge.open(&ctx, one.0, one.1, &text("late"), &lapsed()).await;
    assert_eq!(late.unwrap_err().fault, domain::error::Fault::Transient, "a permit that lapsed permits nothing");
    assert_eq!(forge.find(&ctx, one.0).await.unwrap(), None);
    let opened = forge.open(&ctx, one.0, one.1, &text("first"), &granted()).await.unwrap();
    assert_eq!((opened.state, &opened.reference.head), (PullRequestState::Open, one.1));
    assert_eq!(opened.text.draft, forge.capabilities().drafts);
    let again = forge.open(&ctx, one.0, one.1, &text("another title"), &granted()).await.unwrap();
    assert_eq!(again, opened, "one branch has one pull request: it is read back");
    assert_eq!(forge.find(&ctx, one.0).await.unwrap(), Some(opened.clone()));
    let second = forge.open(&ctx, two.0, two.1, &text("second"), &granted()).await.unwrap();
    assert_ne!(second.reference.number, opened.reference.number);
    let number = opened.reference.number;
    assert!(forge.update(&ctx, one.0, number, two.1, &text("late"), &lapsed()).await.is_err());
    let updated = forge.update(&ctx, one.0, number, two.1, &text("new title"), &granted()).await.unwrap();
    assert_eq!((updated.reference.number, updated.text.title.as_str()), (number, "new title"));
    assert_eq!(&updated.reference.head, two.1);
    forge.close(&ctx, one.0, number).await.unwrap();
    forge.close(&ctx, one.0, number).await.unwrap();
    assert_eq!(forge.find(&ctx, one.0).await.unwrap().unwrap().state, PullRequestState::Closed);
    assert_eq!(forge.find(&tenant("ten_other"), one.0).await.unwrap(), None, "tenants never meet");
}
