//! What is known to happen, in direction: stragglers and FedProx, noise and cohorts, dropouts, poisoning. All with the surrogate, whose optimum is known.

use super::Row;
use super::report::{Section, by_peers, mean, quality, shares};
use super::sweeps::Sweep;
use crate::bench::report::Goal;
use crate::bench::svg::{Axis, Series};

const STRAGGLERS: &str = "stragglers/mu";
const NOISY: &str = "epsilon/peer";
const NOISELESS: &str = "epsilon/none";
const BY_DOCUMENT: &str = "epsilon-documents/document";
const DOCUMENTS_NOISELESS: &str = "epsilon-documents/none";
const SECURE: &str = "dropouts/secure";
const CLEAR: &str = "dropouts/clear";
const POISONING: &str = "poisoning/clip";

/// Cohorts by which noise is looked at, and the examples of each peer.
const COHORTS: [u32; 7] = [10, 30, 100, 300, 1_000, 3_000, 10_000];
const EXAMPLES: u32 = 20;

const QUALITY: Axis = Axis { label: "quality (1 is the optimum)", log: false };
const SLOW: &str = "availability.stragglers";
const LEAVING: &str = "availability.dropout.upload";
const BAD: &str = "adversaries.0.share";
const CLIP: &str = "privacy.clip";
const EPSILON: &str = "privacy.epsilon";

/// Who leaves is drawn for each peer by itself: where a fifth does on average, hardly ever more than three of ten do, which is what the sum can do without.
const SURELY_BELOW: f64 = 0.2;
/// Quality below this is off the plots.
const LEAST_SHOWN: f64 = -0.5;

fn sweep(name: &str, scenario: &'static str, set: &[&str], vary: &[&str]) -> Sweep {
    let owned = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect();
    Sweep { name: name.to_owned(), scenario, set: owned(set), vary: owned(vary) }
}

/// All sweeps.
pub fn sweeps() -> Vec<Sweep> {
    let leaving = "availability.dropout.upload=0,0.1,0.2,0.25,0.35,0.5";
    let mut sweeps = vec![
        sweep(
            STRAGGLERS,
            "stragglers",
            &[],
            &["training.mu=0,0.1,1", "availability.stragglers=0,0.3,0.6,0.9"],
        ),
        sweep(SECURE, "dropouts", &["sum.secure=true"], &[leaving]),
        sweep(CLEAR, "dropouts", &["sum.secure=false"], &[leaving]),
        sweep(
            POISONING,
            "poisoning",
            &[],
            &["privacy.clip=1,1000", "adversaries.0.share=0,0.02,0.1,0.2,0.3"],
        ),
    ];
    for peers in COHORTS {
        let set = [format!("peers={peers}"), format!("data.examples={}", EXAMPLES * peers)];
        let set = set.each_ref().map(String::as_str);
        let named = |of: &str| format!("{of}/{peers}");
        sweeps.push(sweep(&named(NOISELESS), "epsilon", &set, &["privacy.clip=0.5"]));
        sweeps.push(sweep(&named(NOISY), "epsilon", &set, &["privacy.epsilon=2,8,20"]));
        let (none, documents) = (named(DOCUMENTS_NOISELESS), named(BY_DOCUMENT));
        sweeps.push(sweep(&none, "epsilon-documents", &set, &["privacy.clip=1"]));
        let epsilons = ["privacy.epsilon=2,8,20"];
        sweeps.push(sweep(&documents, "epsilon-documents", &set, &epsilons));
    }
    sweeps
}

/// What came out, in plots and tables, with what was aimed at.
pub fn sections(rows: &[Row]) -> Vec<Section> {
    vec![stragglers(rows), epsilon(rows), by_document(rows), dropouts(rows), poisoning(rows)]
}

fn stragglers(rows: &[Row]) -> Section {
    let rows: Vec<&Row> = of(rows, STRAGGLERS).collect();
    let mut section = Section::new(
        "stragglers",
        "FedProx and stragglers",
        "Sixty peers whose topics differ (Dirichlet of concentration .1) learn for twenty rounds; some are ten times slower and send what they have when the round's \
         time is over. FedProx (Li et al. 2020) holds peers near the values that the round began with, so that those who take many steps do not outweigh those who take few.",
    );
    let line = |mu: &&str| {
        let of_mu = rows.iter().filter(|row| row.setting("training.mu") == *mu);
        let name = if *mu == "0" { "FedAvg".to_owned() } else { format!("FedProx, mu {mu}") };
        Series { name, strong: *mu == "0", points: points(of_mu.copied(), SLOW) }
    };
    let lines: Vec<Series> = ["0", "0.1", "1"].iter().map(line).collect();
    section.plot(
        "stragglers",
        &Axis { label: "share of slow peers", log: false },
        &QUALITY,
        &lines,
    );
    section.table(&rows, &["training.mu", SLOW]);
    let at = |mu: &str| {
        let mut those = rows.iter().filter(|row| row.setting("training.mu") == mu);
        those.find(|row| row.setting(SLOW) == "0.6").and_then(|row| mean(quality(row)))
    };
    if let Some((average, proximal)) = at("0").zip(at("1")) {
        let name =
            "six of ten slow: what FedProx (mu 1) leaves of FedAvg's distance from the optimum";
        section.goals.push(Goal::at_most(name.to_owned(), (1.0 - proximal) / (1.0 - average), 0.9));
    }
    section
}

fn epsilon(rows: &[Row]) -> Section {
    let section = Section::new(
        "epsilon",
        "Noise and cohorts",
        "Peers with twenty examples each learn a thousand numbers in ten rounds; epsilon is of all rounds, for everything that a peer has (unit `peer`, delta 1e-5). \
         The noise of a sum is the same however many take part, so a mean has the less of it the more they are. What is worse than -.5 is not in the plot.",
    );
    noise_and_cohorts(section, rows, "epsilon", "")
}

fn by_document(rows: &[Row]) -> Section {
    let section = Section::new(
        "epsilon-documents",
        "Noise and cohorts, by document",
        "The same examples, each of which is a document: a round is one step, every document's gradient is clipped by itself, and the noise is made for one of them. Epsilon is of all rounds, for any one document (unit \
         `document`, delta 1e-5); of all documents of a peer together, and what they have in common, nothing is promised. What is worse than -.5 is not in the plot.",
    );
    noise_and_cohorts(section, rows, "epsilon-documents", "by document: ")
}

/// How quality depends on epsilon and cohort in the sweeps of one scenario.
fn noise_and_cohorts(mut section: Section, rows: &[Row], of: &str, prefix: &str) -> Section {
    let within = |row: &&Row| row.sweep.strip_prefix(of).is_some_and(|it| it.starts_with('/'));
    let those: Vec<&Row> = rows.iter().filter(within).collect();
    let none = by_peers(&those, "");
    let mut lines =
        vec![Series { name: "no noise".to_owned(), strong: true, points: none.clone() }];
    let (mut larger, mut stricter) = (0.0_f64, 0.0_f64);
    let mut whole = none.len() == COHORTS.len();
    let mut last: Option<Vec<(f64, f64)>> = None;
    for epsilon in ["20", "8", "2"] {
        let points = by_peers(&those, epsilon);
        let falls = points.windows(2).map(|pair| pair[0].1 - pair[1].1);
        larger = falls.fold(larger, f64::max);
        if let Some(looser) = &last {
            // By the cohorts that both have.
            let of = |peers: f64| points.iter().find(|(as_many, _)| *as_many == peers);
            let gains = looser.iter().filter_map(|loose| Some(of(loose.0)?.1 - loose.1));
            stricter = gains.fold(stricter, f64::max);
        }
        let kept = shares(&points, &none, 0.0).into_iter().find(|(_, kept)| *kept >= 0.5);
        section.say(match kept {
            Some((peers, _)) => format!("At epsilon {epsilon} half of what is gained without noise is kept from a cohort of {peers} on."),
            None => format!("At epsilon {epsilon} none of these cohorts keeps half of what is gained without noise."),
        });
        let seen = points.iter().copied().filter(|(_, quality)| *quality >= LEAST_SHOWN);
        let name = format!("epsilon {epsilon}");
        lines.push(Series { name, strong: false, points: seen.collect() });
        whole &= points.len() == COHORTS.len();
        last = Some(points);
    }
    section.plot(of, &Axis { label: "peers", log: true }, &QUALITY, &lines);
    section.table(&those, &[EPSILON]);
    if whole {
        let name = format!(
            "{prefix}most that quality falls from a cohort to the next larger one, at the same epsilon"
        );
        section.goals.push(Goal::at_most(name, larger, 0.0));
        let name = format!(
            "{prefix}most that quality rises from an epsilon to the next smaller one, in the same cohort"
        );
        section.goals.push(Goal::at_most(name, stricter, 0.0));
    }
    section
}

fn dropouts(rows: &[Row]) -> Section {
    let secure: Vec<&Row> = of(rows, SECURE).collect();
    let mut section = Section::new(
        "dropouts",
        "Dropouts",
        "Sixty peers, of whom some leave in the middle of sending their vector, in five rounds of one attempt each; the secure sum is set up to do without three of ten. \
         The same rounds are added in the clear beside it.",
    );
    section.table(&secure, &[LEAVING]);
    let (mut apart, mut failed, mut seen) = (Vec::new(), 0.0, 0);
    for row in &secure {
        let share: f64 = row.setting(LEAVING).parse().unwrap_or(1.0);
        let beside = of(rows, CLEAR).find(|other| other.settings == row.settings);
        let Some(beside) = beside else { continue };
        let (ours, theirs) = (mean(quality(row)), mean(quality(beside)));
        apart.push((ours.unwrap_or(f64::NAN) - theirs.unwrap_or(f64::NAN)).abs());
        if share <= SURELY_BELOW {
            failed +=
                mean(row.summary.rounds.as_ref().and_then(|of| of.failed)).unwrap_or(f64::NAN);
        }
        seen += 1;
    }
    if seen > 0 {
        let name = "dropouts: how far quality is from that of sums in the clear";
        // The largest, above which sorts what is missing.
        let apart = apart.into_iter().max_by(f64::total_cmp).unwrap_or(f64::NAN);
        section.goals.push(Goal::at_most(name.to_owned(), apart, 0.0));
        let name = "up to a fifth leaves where three of ten may: rounds that fail";
        section.goals.push(Goal::at_most(name.to_owned(), failed, 0.0));
    }
    section
}

fn poisoning(rows: &[Row]) -> Section {
    let rows: Vec<&Row> = of(rows, POISONING).collect();
    let mut section = Section::new(
        "poisoning",
        "Poisoning and clipping",
        "Of fifty peers some send a hundred times the negative of what they learnt. Clipping holds each of them to the length that an honest update may have; it does not tell them from honest ones. \
         Success is the share of what honest peers would have gained that is lost.",
    );
    let line = |(clip, name): (&str, &str)| {
        let of_clip = rows.iter().filter(|row| row.setting(CLIP) == clip);
        let success =
            |row: &&Row| Some((row.setting(BAD).parse().ok()?, attack(row)?.clamp(0.0, 1.0)));
        let points = of_clip.filter_map(success).collect();
        Series { name: name.to_owned(), strong: false, points }
    };
    let lines = [line(("1", "clipped")), line(("1000", "not clipped"))];
    let (x, y) = (
        Axis { label: "share of peers that attack", log: false },
        Axis { label: "success", log: false },
    );
    section.plot("poisoning", &x, &y, &lines);
    section.table(&rows, &[CLIP, BAD]);
    let at = |clip: &str| {
        let mut those = rows.iter().filter(|row| row.setting(CLIP) == clip);
        those.find(|row| row.setting(BAD) == "0.1").and_then(|row| attack(row))
    };
    if let Some((with, without)) = at("1").zip(at("1000")) {
        let name = "a tenth attacks: success with clipping".to_owned();
        section.goals.push(Goal::at_most(name, with, 0.5));
        let name = "a tenth attacks: success without clipping".to_owned();
        section.goals.push(Goal::at_least(name, without, 0.99));
    }
    section
}

fn of<'a>(rows: &'a [Row], sweep: &'a str) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(move |row| row.sweep == sweep)
}

fn points<'a>(rows: impl Iterator<Item = &'a Row>, key: &str) -> Vec<(f64, f64)> {
    rows.filter_map(|row| Some((row.setting(key).parse().ok()?, mean(quality(row))?))).collect()
}

fn attack(row: &Row) -> Option<f64> {
    mean(row.summary.rounds.as_ref()?.attack)
}
