//! Simulated peers: members, those who do what they should not, hours of searches, rounds.

mod absent;
mod adversaries;
mod attacks;
mod betrayal;
mod common;
mod embedding;
mod hour;
mod membership;
mod poisoning;
mod searching;
mod training;
