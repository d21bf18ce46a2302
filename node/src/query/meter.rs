//! What is counted of questions, for metrics.

use covey_net::Link;
use covey_protocol::wire::v1::search::SearchRefusal;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::api::{ApiError, Reply, SearchCall};
use crate::cancel::CancelFlag;
use crate::metrics::Label;
use crate::node::Node;

/// Counts from when the process started.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    asked: Family<Label, Counter>,
    members: Family<Label, Counter>,
    answers: Family<Label, Counter>,
    recomputed: Counter,
}

impl Meter {
    pub(crate) fn register(&self, to: &mut Registry) {
        to.register(
            "questions",
            "Questions asked here, of own files or of a group",
            self.asked.clone(),
        );
        to.register(
            "members_asked",
            "Members who were asked, by what came of it",
            self.members.clone(),
        );
        to.register(
            "answers",
            "Questions of members, by what they were told",
            self.answers.clone(),
        );
        to.register(
            "chunks_recomputed",
            "Passages embedded again to answer questions",
            self.recomputed.clone(),
        );
    }

    /// So many passages were embedded again.
    pub(super) fn recomputed(&self, chunks: u64) {
        self.recomputed.inc_by(chunks);
    }

    /// A member's question was answered, or refused.
    pub(super) fn answered(&self, refusal: Option<&SearchRefusal>) {
        let outcome = match refusal {
            None => "answered",
            Some(SearchRefusal::NotAMember) => "not_a_member",
            Some(SearchRefusal::Removed) => "removed",
            Some(SearchRefusal::Forked { .. }) => "forked",
            Some(SearchRefusal::Frozen) => "frozen",
            Some(SearchRefusal::WrongModel { .. }) => "wrong_model",
            Some(SearchRefusal::NothingShared) => "nothing_shared",
            Some(SearchRefusal::Busy) => "busy",
            Some(SearchRefusal::BadRequest) => "bad_request",
            Some(SearchRefusal::Internal) => "internal",
            Some(SearchRefusal::Coordinates) => "coordinates",
        };
        self.answers.get_or_create(&[("outcome", outcome)]).inc();
    }

    fn asked(&self, of: &'static str, reply: &Result<Reply, ApiError>) {
        self.asked.get_or_create(&[("of", of)]).inc();
        let Ok(Reply::Search(report)) = reply else { return };
        self.recomputed(report.recomputed);
        let coverage = &report.coverage;
        for (outcome, count) in [
            ("answered", coverage.answered),
            ("refused", coverage.refused),
            ("timed_out", coverage.timed_out),
            ("offline", coverage.offline),
        ] {
            self.members.get_or_create(&[("outcome", outcome)]).inc_by(count.into());
        }
    }
}

impl<L: Link> Node<L> {
    /// Asks, and counts it.
    pub(crate) async fn ask_and_count(
        &self,
        call: SearchCall,
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        let of = if call.group.is_some() { "group" } else { "own" };
        let reply = self.search(call, cancel).await;
        self.meter.asked(of, &reply);
        reply
    }
}
