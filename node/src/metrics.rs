//! What a node counts, as text that Prometheus reads (OpenMetrics). Labels come from lists in the code: nothing there names a
//! collection, a question, a group or a member.

use covey_net::Link;
use prometheus_client::encoding::text;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::api::{ApiError, ErrorCode};
use crate::node::Node;

/// One label and its value.
pub(crate) type Label = [(&'static str, &'static str); 1];

impl<L: Link> Node<L> {
    /// Everything that is counted, and how things stand now.
    ///
    /// # Errors
    /// If what is kept cannot be read.
    pub async fn metrics(&self) -> Result<String, ApiError> {
        let node = self.clone();
        self.env.compute(move || node.measured()).await
    }

    fn measured(&self) -> Result<String, ApiError> {
        let mut registry = Registry::with_prefix("covey");
        let summaries = self.collections.summaries();
        let whole = |count: u64| ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
        registry.register("collections", "Collections here", whole(summaries.len() as u64));
        let chunks = summaries.iter().map(|it| it.chunks).sum();
        registry.register("chunks", "Passages that can be found", whole(chunks));
        let peers = self.link.peers().len() as u64;
        registry.register("peers", "Peers connected now", whole(peers));
        self.meter.register(&mut registry);
        self.measure_learning(&mut registry)?;
        let mut encoded = String::new();
        text::encode(&mut encoded, &registry).map_err(|_| {
            ApiError::new(ErrorCode::Internal, "the metrics cannot be written as text")
        })?;
        Ok(encoded)
    }
}
