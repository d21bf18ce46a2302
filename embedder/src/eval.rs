//! How well a model, or anybody's ranking, finds what judges found relevant.
//!
//! [`Set::read`] takes a retrieval set in the layout of BEIR (Thakur et al. 2021), [`retrieve`] ranks its
//! documents for its queries with any [`Embedder`](crate::Embedder), exactly, and [`evaluate`] scores a
//! [`Run`] by the formulas of trec_eval. [`compare`] says whether the difference between two runs could
//! be chance. Runs are read and written as TREC has them, so rankings of other systems are scored the same way.
//!
//! Nothing here prints, and nothing but [`Set`], [`judgements`] and [`Run::read`] touches files. Numbers agree with
//! `pytrec_eval-terrier` and `ir_measures` (golden/make_eval.py).

mod beir;
mod lines;
mod measures;
mod near;
mod retrieve;
mod run;
mod significance;

pub use beir::{Document, Gaps, Grades, Judgements, Query, Set, judgements, splits};
pub use lines::ReadError;
pub use measures::{Measures, evaluate, measure, ndcg, recall, reciprocal_rank};
pub use near::{Near, answers, near_pairs};
pub use retrieve::{RetrieveError, retrieve};
pub use run::{Hit, Run, RunError};
pub use significance::{Comparison, PERMUTATIONS, RESAMPLES, SEED, compare};
