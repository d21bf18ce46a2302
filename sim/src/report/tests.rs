use std::path::PathBuf;

use super::*;
use crate::metrics::{Metric, RoundMetric, SearchMetric};
use crate::run_folder::{Run, Versions};

fn run(scenario: &str, metrics: Vec<Metric>) -> Run {
    Run {
        path: PathBuf::from("/runs/here"),
        scenario_text: scenario.to_owned(),
        scenario: toml::from_str(scenario).expect("a scenario"),
        versions: Versions::here("0.1.0", 1),
        metrics,
        complete: true,
    }
}

fn page_of(run: &Run) -> String {
    let measured = Measured::of(&run.metrics);
    page::page(run, &measured, &Summary::of(&run.scenario, &measured, run.complete))
}

fn rounds(better: f64) -> Vec<Metric> {
    let round = |seed: u64, round: u32| {
        Metric::Round(RoundMetric {
            seed,
            round,
            at_s: 60.0 * f64::from(round),
            attempts: 1,
            failed: (round == 3).then(|| "too few <left>".to_owned()),
            cohort: if round == 0 { 0 } else { 10 },
            survivors: if round == 0 { 0 } else { 9 },
            quality: Some(better * f64::from(round) + 0.01 * seed as f64),
            phases_s: if round == 0 {
                Default::default()
            } else {
                [("training".to_owned(), 50.0), ("gathering".to_owned(), 3.0)].into()
            },
            ..RoundMetric::default()
        })
    };
    [1, 2, 3].into_iter().flat_map(|seed| (0..=5).map(move |number| round(seed, number))).collect()
}

const LEARNING: &str = "name = \"<b>bold & 'quick'</b>\"\nabout = \"</pre><script>\"\nrepeats = 3\npeers = 10\n[training]\nrounds = 5\nmu = 0.1\n";

#[test]
fn a_page_says_what_came_out_and_escapes_what_it_was_told() {
    let run = run(LEARNING, rounds(0.1));
    let page = page_of(&run);
    for said in [
        "10 peers train a quadratic of 1000 values together with FedProx (mu 0.1) for 5 rounds",
        "Quality went from 0.02 to 0.52 (95% interval 0.495 to 0.545 over 3 seeds) in 5 rounds.",
        "Rounds that came to nothing: 1 for each seed.",
        "&lt;b&gt;bold &amp; &#39;quick&#39;&lt;/b&gt;",
        "<figcaption>Quality</figcaption>",
        "<figcaption>Who took part</figcaption>",
        "<figcaption>Virtual time of each phase</figcaption>",
        "<h2>Round 5</h2>",
        "mu = 0.1",
    ] {
        assert!(page.contains(said), "{said} is missing");
    }
    for never in ["<script", "<b>", "http:", "https:", "src=", "href=", "@import", "url(", "NaN"] {
        assert!(!page.contains(never), "{never}");
    }
    // A cross for the round that failed, and no plot of what was not measured.
    assert_eq!(page.matches("class=\"mark\"").count(), 1);
    for absent in ["Loss", "Privacy spent", "attack", "Recall", "offline"] {
        assert!(!page.contains(&format!("<figcaption>{absent}")), "{absent}");
    }
    assert_eq!(page, page_of(&run), "the same each time");
}

#[test]
fn an_empty_run_says_so() {
    let page = page_of(&run("peers = 3\n", Vec::new()));
    assert!(page.contains("Nothing has been measured yet.") && !page.contains("<svg"), "{page}");
    assert!(page.contains("<h1>scenario</h1>"), "named as scenarios without a name are");
}

#[test]
fn questions_have_plots_of_their_own() {
    let hour = |hour: u32| {
        Metric::Search(SearchMetric {
            hour,
            questions: 10,
            asked: 40,
            answered: 30,
            offline: 10,
            recall: Some(0.9),
            p50_ms: 120.0,
            p95_ms: 900.0,
            bytes: 4_000,
            harvested: Some(0.1 * f64::from(hour)),
            ..SearchMetric::default()
        })
    };
    let page = page_of(&run("[search]\nhours = 2.0\ngroup = 5\n", vec![hour(1), hour(2)]));
    for title in ["What members did with questions", "Recall of the best", "Time until the answer"]
    {
        assert!(page.contains(&format!("<figcaption>{title}")), "{title}");
    }
    assert!(page.contains("within 120 ms, and 95 of a hundred within 900 ms"), "{page}");
    assert!(page.contains("offline, hour 1: 25%"), "{page}");
    let said = "Those who flood have got 20% of what others in their groups share.";
    assert!(page.contains(said) && !page.contains("forged"), "{page}");
}

#[test]
fn who_refused_is_told_by_check_and_what_opens_with_it() {
    let round = |round: u32, exposed: u32| {
        let lied = round > 0;
        let refused = [("A6", 1), ("A7", 8)].map(|(check, peers)| (check.to_owned(), peers));
        Metric::Round(RoundMetric {
            round,
            refused: if lied { refused.into() } else { Default::default() },
            opened: lied.then_some(0),
            exposed: lied.then_some(exposed),
            ..RoundMetric::default()
        })
    };
    let text =
        "[coordinator]\nlies = \"two-sets\"\n[[adversaries]]\nattack = \"collude\"\nshare = 0.1\n";
    let lied_to = run(text, vec![round(0, 0), round(1, 0), round(2, 0)]);
    let page = page_of(&lied_to);
    for said in [
        "10% of the peers pool what they know with the coordinator.",
        "The coordinator tells different peers of different survivors.",
        "Times that a check had a peer refuse to go on: A6 2, A7 16.",
        "The coordinator could open no honest peer&#39;s update",
        "<figcaption>Peers that refused, by check</figcaption>",
        "<figcaption>Updates that the coordinator could open</figcaption>",
        "A7, round 2: 8",
        "<td>A6 1, A7 8</td>",
    ] {
        assert!(page.contains(said), "{said} is missing: {page}");
    }
    let exposed = run(text, vec![round(0, 0), round(1, 1), round(2, 1)]);
    let said = "the coordinator could open 2 updates of honest peers.";
    assert!(page_of(&exposed).contains(said));
    let compared = compare(&[lied_to, exposed]).text;
    assert!(compared.contains("refused") && compared.contains("exposed"), "{compared}");
    // Where nobody lies or colludes there is nothing of it.
    let page = page_of(&run(LEARNING, rounds(0.1)));
    assert!(!page.contains("refuse") && !page.contains("could open"), "{page}");
}

#[test]
fn long_runs_make_no_long_pages() {
    let round = |round| {
        let phases_s = [("training".to_owned(), 1.0)].into();
        let metric = RoundMetric { round, quality: Some(0.5), phases_s, ..RoundMetric::default() };
        Metric::Round(metric)
    };
    let page = page_of(&run(LEARNING, (0..20_000).map(round).collect()));
    assert!(page.len() < 100_000, "{}", page.len());
}

#[test]
fn comparing_shows_the_settings_that_differ() {
    let other = LEARNING.replace("mu = 0.1", "mu = 0.5").replace("bold", "other");
    let runs = [run(LEARNING, rounds(0.1)), run(&other, rounds(0.2))];
    let compared = compare(&runs);
    let lines: Vec<Vec<&str>> = compared.text.lines().map(|of| of.split("  ").collect()).collect();
    let cells = |line: &Vec<&str>| -> Vec<String> {
        line.iter().map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
    };
    assert_eq!(cells(&lines[0])[..3], ["run", "training.mu", "quality"]);
    assert_eq!(cells(&lines[1])[..3], ["<b>bold & 'quick'</b>", "0.1", "0.52 (0.495 to 0.545)"]);
    assert_eq!(cells(&lines[2])[..3], ["<b>other & 'quick'</b>", "0.5", "1.02 (0.995 to 1.04)"]);
    assert!(!compared.text.contains("training.rounds"), "{}", compared.text);
    assert!(compared.html.contains("<figcaption>Quality</figcaption>"));
    assert!(!compared.html.contains("<b>"));
    assert_eq!(compared, compare(&runs));
    assert_eq!(compare(&[]).text.lines().next(), Some("run"));
}

#[test]
fn runs_of_one_name_are_told_by_their_folders() {
    let mut runs = [run(LEARNING, Vec::new()), run(LEARNING, Vec::new())];
    runs[1].path = PathBuf::from("/runs/there");
    let text = compare(&runs).text;
    assert!(text.contains("\nhere") && text.contains("\nthere"), "{text}");
}
