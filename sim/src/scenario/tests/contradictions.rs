//! What fields say of each other.

use super::*;

#[test]
fn contradictions_name_a_line_of_theirs() {
    let two = "[[adversaries]]\nattack = 'scale'\nshare = 0.3\n".repeat(2);
    for (text, said) in [
        ("[training]\ncohort = 21", "line 2: training.cohort is 21, of 20 peers;"),
        (
            "peers = 10\n[training]\ncohort = 8\n[sum]\nmin_cohort = 9",
            "line 5: sum.min_cohort is 9, of at most 8 participants",
        ),
        (
            "[availability.dropout]\nkeys = 0.5\nupload = 0.5",
            "line 1: the shares of availability.dropout are 1 together",
        ),
        (
            "[privacy]\nepsilon = 1\n\nnoise = 2",
            "line 4: privacy.epsilon and privacy.noise are both given",
        ),
        (
            "[data]\npartition = 'author'",
            "line 2: data.partition is author, but made-up data has no authors; set data.folder",
        ),
        (two.as_str(), "line 1: the shares of adversaries are 0.6 together; at most 0.5"),
        ("[training]\nrounds = 0", "line 2: nothing happens"),
        (
            "peers = 30000\n[data]\nexamples = 30000",
            "line 1: 30000 peers are more than the 16384 members of a group that learns together",
        ),
        (
            "peers = 600\n[sum]\ntopology = 'complete'",
            "line 3: 600 participants are more than the 512 of sum.topology complete",
        ),
        (
            "peers = 3000",
            "line 1: data.examples is 2000 and there are 3000 peers; each needs an example",
        ),
        (
            "[data]\npartition = 'topics'\ntopics = 50",
            "line 3: 20 peers with 2 topics each leave some of 50 topics to nobody",
        ),
        (
            "[network]\nbandwidth_mbit = [0, 5]",
            "line 2: network.bandwidth_mbit is from 0, which is no limit, to 5",
        ),
        (
            "peers = 10000\n[data]\nexamples = 10000\n[learner]\nvalues = 25_000_000",
            "line 5: 10000 participants with 25000000 values each",
        ),
        (
            "peers = 10000\n[data]\nexamples = 10000\ntopics = 1\n[learner]\nvalues = 25_000_000",
            "line 6: 10000 participants with 25000000 values each",
        ),
        (
            "[learner]\nvalues = 1_000_000\n[data]\ntopics = 300",
            "line 2: points of 300 topics with 1000000 values each are 300000000 numbers",
        ),
        (
            "repeats = 300\n[training]\nrounds = 10_000",
            "line 1: 3000300 rounds and hours are measured in 300 repeats",
        ),
        (
            "peers = 100_000\n[training]\nrounds = 0\n[search]\nhours = 100\nper_hour = 2",
            "line 6: some 20000000 questions are asked in a repeat",
        ),
        (
            "[training]\nrounds = 0\n[search]\nhours = 1000\nper_hour = 30\n[[adversaries]]\nattack = 'flood'\nshare = 0.5\nstrength = 100",
            "line 5: some 30300000 questions are asked in a repeat",
        ),
    ] {
        let found = refused(text);
        assert!(found.starts_with(said), "{text:?}: {found}");
    }
}

#[test]
fn what_no_sum_could_be_made_of_is_refused_before_it_runs() {
    for (text, said) in [
        ("peers = 2", "line 1: 2 participants are fewer than the 3 that a sum takes"),
        ("[training]\ncohort = 2", "line 2: 2 participants are fewer than the 3 that a sum takes"),
        ("[sum]\nmin_cohort = 2", "line 2: sum.min_cohort is 2, and a sum takes 3 at least"),
        (
            "[sum]\ndropout = 0.5",
            "line 2: sum.dropout is 0.5; it has to be a number from 0 to 0.499",
        ),
        ("[sum]\ncollusion = 0.6", "line 2: sum.collusion is 0.6;"),
        (
            "[training]\nbatch = 1",
            "line 2: training.batch is 1; it has to be a whole number from 2",
        ),
        (
            "[sum]\ndropout = 0.4\ncollusion = 0.4",
            "line 3: sums of 12 to 20 participants with sum.dropout 0.4 and sum.collusion 0.4 cannot be",
        ),
        (
            "[sum]\nsecure = false\ntopology = 'sparse'\ndropout = 0.4\ncollusion = 0.4",
            "line 5: sums of 12 to 20 participants",
        ),
        (
            "[privacy]\nnoise = 1\n[training]\nweighted = true",
            "line 4: training.weighted is true, and weights would need noise of their own",
        ),
    ] {
        let found = refused(text);
        assert!(found.starts_with(said), "{text:?}: {found}");
    }
    // Who learns alone is in nobody's sum.
    for algorithm in ["local", "central"] {
        let text = format!(
            "peers = 1\n[training]\nalgorithm = '{algorithm}'\n[sum]\nmin_cohort = 9\ndropout = 0.4\ncollusion = 0.4"
        );
        assert_eq!(parse(&text).map(|it| it.peers), Ok(1));
    }
}

#[test]
fn lies_that_nobody_could_be_told_are_refused() {
    let lies = |lies: &str| format!("[coordinator]\nlies = '{lies}'\n");
    let collude = "[[adversaries]]\nattack = 'collude'\nshare = 0.1\n";
    for (text, said) in [
        (
            lies("two-sets") + "[sum]\nsecure = false",
            "line 2: coordinator.lies is two-sets, and sum.secure is false: words that are added in the clear hide nothing",
        ),
        (
            format!("{collude}[sum]\nsecure = false"),
            "line 1: adversaries collude with the coordinator, and sum.secure is false",
        ),
        (
            lies("swapped-keys") + "[training]\nalgorithm = 'local'",
            "line 2: coordinator.lies is swapped-keys, and nothing is summed",
        ),
        (
            format!("{collude}[training]\nrounds = 0\n[search]\nhours = 1"),
            "line 1: adversaries collude with the coordinator, and nothing is summed",
        ),
        (
            lies("small-cohort") + "[sum]\ntopology = 'sparse'",
            "line 2: coordinator.lies is small-cohort, which is told to participants who all know each other",
        ),
        (
            lies("replay") + "[training]\nrounds = 2",
            "line 4: training.rounds is 2, and a plan is replayed from round 3 on",
        ),
        (
            lies("two-models") + "[learner]\nvalues = 10_000_000",
            "line 4: coordinator.lies is two-models, and it keeps the 600000000 numbers of all attempts",
        ),
        (
            lies("two sets"),
            "line 2: coordinator.lies is \"two sets\"; it has to be one of none, swapped-keys, two-sets, two-models, small-cohort, replay",
        ),
    ] {
        let found = refused(&text);
        assert!(found.starts_with(said), "{text:?}: {found}");
    }
    // Colluders need not know everybody, nor does who gets a plan again.
    for text in [collude.to_owned(), lies("replay")] {
        assert!(parse(&(text + "[sum]\ntopology = 'sparse'")).is_ok());
    }
}

#[test]
fn fields_that_nothing_would_come_of_are_refused() {
    let cuts = "[[network.cuts]]\nat_s = 10\nfor_s = 5\nshare = 0.5\n[[network.cuts]]\nat_s = 14\nfor_s = 5\nshare = 0.2\n";
    let attack =
        |attack: &str| format!("[[adversaries]]\nattack = '{attack}'\nshare = 0.1\nstrength = 2\n");
    let forge = attack("forge-scores") + "[search]\nhours = 1\n";
    let (flood, scale) =
        (attack("flood"), attack("scale") + "[training]\nrounds = 0\n[search]\nhours = 1");
    for (text, said) in [
        (cuts, "line 1: one of network.cuts begins at 14 s, when that from 10 s on is not over"),
        (
            &forge,
            "line 1: the strength of forge-scores is 2; it is the score that forged texts claim",
        ),
        (
            "[data]\nsplit = 'dev'",
            "line 2: data.split names a split of a folder, and none is given",
        ),
        ("[data]\nfolder = 'x'\nsplit = 'train'", "line 3: data.split is train"),
        (&flood, "line 1: adversaries attack searches, and there are none"),
        (&scale, "line 1: adversaries attack rounds, and there are none"),
        ("[privacy]\nnoise = 0.001", "line 2: privacy.noise is 0.001, which hides nothing"),
    ] {
        let found = refused(text);
        assert!(found.starts_with(said), "{text:?}: {found}");
    }
    let follow = cuts.replace("at_s = 14", "at_s = 15");
    assert_eq!(parse(&follow).map(|it| it.network.cuts.len()), Ok(2));
    for (field, value) in [
        ("network.bandwidth_mbit", "[1, 2]"),
        ("network.cuts", "[{ at_s = 1, for_s = 2, share = 0.5 }]"),
        ("availability.stragglers", "0.1"),
    ] {
        let searches = "[training]\nrounds = 0\n[search]\nhours = 1";
        let found = set(searches, &[(field, value)]).expect_err(field);
        let said = format!("--set {field}={value}: {field} says how rounds go, and there are none");
        assert!(found.starts_with(&said), "{found}");
        assert!(set("[search]\nhours = 1", &[(field, value)]).is_ok(), "{field} with rounds");
    }
}
