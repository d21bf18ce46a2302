//! Every bound a peer can run into, by name. Checked before anything is allocated.

/// Largest request on the group protocol, in bytes.
pub const MAX_GROUP_REQUEST: usize = 256 * 1024;
/// Largest reply on the group protocol, in bytes (a page of log entries with address hints).
pub const MAX_GROUP_REPLY: usize = 1024 * 1024;
/// Largest request on the search protocol, in bytes.
pub const MAX_SEARCH_REQUEST: usize = 64 * 1024;
/// Largest reply on the search protocol, in bytes.
pub const MAX_SEARCH_REPLY: usize = 1024 * 1024;

/// Longest question, in bytes.
pub const MAX_QUESTION: usize = 8 * 1024;
/// Most results one answer may hold.
pub const MAX_RESULTS: usize = 100;
/// Longest snippet, in bytes.
pub const MAX_SNIPPET: usize = 400;
/// Longest full text of one result, in bytes.
pub const MAX_FULL_TEXT: usize = 16 * 1024;
/// Longest title of a result, in bytes.
pub const MAX_TITLE: usize = 512;

/// Longest name of a group, member or collection, in bytes.
pub const MAX_NAME: usize = 64;
/// Longest address text, in bytes.
pub const MAX_ADDRESS: usize = 256;
/// Most addresses kept or sent for one node.
pub const MAX_ADDRESSES: usize = 8;
/// Most members of one group.
pub const MAX_MEMBERS: usize = 1_000;
/// Most entries of one membership log.
pub const MAX_LOG_ENTRIES: u64 = 100_000;
/// Largest encoded log entry, in bytes.
pub const MAX_ENTRY: usize = 4 * 1024;
/// Most log entries in one reply; a longer log is fetched in pages.
pub const MAX_ENTRIES_PER_REPLY: usize = 128;
/// Most open (unredeemed, unexpired) invites one node keeps.
pub const MAX_OPEN_INVITES: usize = 256;
/// Most invites of any state that one node remembers.
pub const MAX_INVITES: usize = 4 * MAX_OPEN_INVITES;
/// Longest life of an invite, in milliseconds (30 days).
pub const MAX_INVITE_LIFE_MS: u64 = 30 * 24 * 3_600_000;
/// How far a peer's clock may be ahead of ours before we say so, in milliseconds.
pub const MAX_CLOCK_SKEW_MS: u64 = 10 * 60_000;
/// Most groups one node joins.
pub const MAX_GROUPS: usize = 64;
/// Most address hints in one reply.
pub const MAX_HINTS: usize = 64;
/// Most log entries one node pushes at once.
pub const MAX_ENTRIES_PER_PUSH: usize = 32;
/// How far a signed request's time may lie from its entry's, either way, in milliseconds (a day).
pub const MAX_REQUEST_AGE_MS: u64 = 24 * 3_600_000;
/// Longest invite code, in characters.
pub const MAX_INVITE_CODE: usize = 8 * 1024;
/// Most releases of one model that one question is asked for, or one node serves.
pub const MAX_RELEASES: usize = 4;
/// Most peers one question is sent to.
pub const MAX_ASKED: usize = 256;

/// Most clients of one secure aggregation.
pub const MAX_COHORT: u32 = 16_384;
/// Most clients of one secure aggregation in which everybody shares with everybody.
pub const MAX_COMPLETE_COHORT: u32 = 512;
/// Most neighbours one client chooses in a secure aggregation.
pub const MAX_SHAREHOLDERS: usize = 512;
/// Most neighbours one client has in a secure aggregation, chosen by it and choosing it: six times as many as it
/// chooses, and all that may collude, who are fewer than half.
pub const MAX_NEIGHBOURS: usize = 6 * MAX_SHAREHOLDERS + MAX_COHORT as usize / 2;
/// Most entries of one securely aggregated vector.
pub const MAX_ENTRIES: u32 = 25_000_000;
/// Most siblings in a proof that a client is in a cohort: the height of a tree of [`MAX_COHORT`].
pub const MAX_PROOF: usize = 14;

/// Largest request of a round's participant, in bytes.
pub const MAX_ROUND_REQUEST: usize = 512 * 1024;
/// Largest reply of a round's coordinator, in bytes (keys of all neighbours on a sparse graph, with their proof).
pub const MAX_ROUND_REPLY: usize = 2 * 1024 * 1024;
/// Largest encoded plan, in bytes.
pub const MAX_PLAN: usize = 8 * 1024;
/// Longest configuration of an adapter in a plan, in bytes.
pub const MAX_ADAPTER_CONFIG: usize = 4 * 1024;
/// Most numbers that are summed beside an update.
pub const MAX_MEASURES: usize = 8;
/// Most attempts at one round.
pub const MAX_ROUND_ATTEMPTS: u32 = 16;
/// Longest time from a plan to the end of checking in, and of one attempt, in milliseconds (30 days).
pub const MAX_ROUND_LENGTH_MS: u64 = 30 * 24 * 3_600_000;
/// Largest piece of a masked vector or of an adapter's values in one message, in bytes; a multiple of four.
pub const MAX_PIECE: usize = 256 * 1024;
/// Most pairs of a training step in a plan.
pub const MAX_BATCH: u16 = 4_096;
/// Public texts that each document is told from, where rounds protect single ones.
pub const PUBLIC_TEXTS: u16 = 64;
/// Most tokens of a text that a plan has count.
pub const MAX_TRAINED_TOKENS: u16 = 512;
