//! A member that answers every question with texts of its own, which it says have a high score.

use covey_net::{Events, LinkEvent, Protocol};
use covey_protocol::limits::MAX_SEARCH_REQUEST;
use covey_protocol::wire;
use covey_protocol::wire::PrivateText;
use covey_protocol::wire::v1::search::{Found, Revealed, Score, SearchReply, SearchRequest};

/// Results of one answer.
const RESULTS: usize = 10;
/// How a forged text begins.
pub(super) const AD: &str = "Buy our fine product";

/// Answers with this score for as long as its network is there. Other requests get no answer, as from a member that is busy.
pub(super) async fn answer_all(mut events: Events, score: f64) {
    while let Some(event) = events.recv().await {
        let LinkEvent::Request(inbound) = event else { continue };
        if inbound.protocol != Protocol::Search {
            continue;
        }
        let Ok(request) = wire::decode::<SearchRequest>(&inbound.body, MAX_SEARCH_REQUEST) else {
            continue;
        };
        let Some(query) = request.queries.first() else { continue };
        let Ok(collection) = "ads".parse() else { continue };
        let found = |number: usize| {
            let text = format!("{AD} number {number}!");
            Some(Found {
                score: Score::new(score as f32).ok()?,
                collection: Clone::clone(&collection),
                revealed: Revealed::Full {
                    title: PrivateText::clipped("ad"),
                    text: PrivateText::clipped(&text),
                },
            })
        };
        let reply = SearchReply::Answer {
            id: request.id,
            model: query.model,
            head: request.head,
            results: (0..RESULTS).filter_map(found).collect(),
        };
        inbound.reply.send(wire::encode(&reply));
    }
}
