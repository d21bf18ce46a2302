//! The protocols through their public interface. Check numbers (G, E, I, S, W) are those of docs/spec.

mod common;
mod fuzz_replay;
mod fuzzed;
mod group_checks;
mod group_model;
mod group_sync;
mod round_attempts;
mod round_checks;
mod round_company;
mod round_evaluation;
mod round_vectors;
mod round_world;
mod search_answerer;
mod search_asker;
mod secagg_apart;
mod secagg_attacks;
mod secagg_audit;
mod secagg_clients;
mod secagg_neighbours;
mod secagg_pool;
mod secagg_private;
mod secagg_round;
mod secagg_vectors;
mod vectors;
mod wire;
