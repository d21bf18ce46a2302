//! Mining pairs, and what was opened.

use covey_node::api::{MineCall, MineReport, OpenedCall};

use super::*;

async fn mine(node: &Node<MemoryLink>, path: &Path, negatives: u16) -> MineReport {
    let collections = Vec::new();
    let mine = MineCall { collections, path: path.to_owned(), negatives };
    match call(node, Call::Mine(mine)).await {
        Ok(Reply::Mined(report)) => report,
        other => panic!("{other:?}"),
    }
}

async fn opened(node: &Node<MemoryLink>, question: &str, path: &Path, text: &str) {
    let (question, chunk) = (question.to_owned(), Digest::sha256(text.as_bytes()));
    let added = OpenedCall { question, path: path.to_owned(), chunk };
    assert_eq!(call(node, Call::OpenedAdd(added)).await, Ok(Reply::Ok));
}

const NOTE: &str = "# Some orchard\n\nApple trees are pruned in late winter.";

#[tokio::test]
async fn a_file_of_two_collections_gives_its_pairs_once() {
    let place = Place::new();
    place.write("apple.md", &format!("{NOTE}\n"));
    let node = place.open();
    add(&node, &place.notes()).await;
    add(&node, &place.notes().join("apple.md")).await;
    let out = place.dir.path().join("pairs.jsonl");
    let report = mine(&node, &out, 0).await;
    assert_eq!((report.collections.len(), report.files, report.pairs.title), (2, 2, 1));
    assert_eq!(fs::read_to_string(&out).expect("is there").lines().count(), 1);
}

#[tokio::test]
async fn what_was_opened_is_a_pair_as_long_as_its_text_is_there() {
    let place = Place::new();
    place.write("apple.md", &format!("{NOTE}\n"));
    let node = place.open();
    add(&node, &place.notes()).await;
    let (apple, bread) = (place.notes().join("apple.md"), place.notes().join("bread.txt"));
    opened(&node, "when to prune?", &apple, NOTE).await;
    opened(&node, "what else?", &apple, "Nothing of this is in it.").await;
    opened(&node, "42", &apple, NOTE).await;
    opened(&node, "prune", &apple, NOTE).await;
    opened(&node, "a file of no collection", Path::new("/nowhere/a.md"), NOTE).await;
    let flat = "Sourdough that stays flat was proofed too long.";
    opened(&node, "why is my bread flat?", &bread, flat).await;
    let out = place.dir.path().join("pairs.jsonl");
    let report = mine(&node, &out, 0).await;
    assert_eq!((report.pairs.opened, report.pairs.title), (2, 1));
    let left = report.left_out;
    assert_eq!((left.gone, left.numeric, left.short), (1, 1, 1));
    // A node that starts anew still knows; a file that changed has nothing any more.
    drop(node);
    let node = place.open();
    place.write("bread.txt", "Something else, as if it had never been written.\n");
    let report = mine(&node, &out, 0).await;
    assert_eq!((report.pairs.opened, report.left_out.gone, report.stale), (1, 2, 1));
    assert_eq!(call(&node, Call::OpenedClear).await, Ok(Reply::Ok));
    assert_eq!(call(&node, Call::OpenedList).await, Ok(Reply::Opened { results: Vec::new() }));
}

#[tokio::test]
async fn what_ranks_too_near_or_was_opened_for_the_question_is_no_negative() {
    let place = Place::new();
    for i in 0..40 {
        place.write(
            &format!("apple{i:02}.txt"),
            &format!("Apple trees number{i} are in the orchard.\n"),
        );
    }
    place
        .write("prune.md", "# Pruning apple trees\n\nApple trees are pruned in the late winter.\n");
    let node = place.open();
    add(&node, &place.notes()).await;
    let out = place.dir.path().join("pairs.jsonl");
    let report = mine(&node, &out, 40).await;
    let text = fs::read_to_string(&out).expect("is there");
    let found = text.matches("Apple trees number").count() as u64;
    assert!(found > 20 && found <= report.negatives, "{report:?}");
    // One whose own text is far from it has none that are nearer.
    place.write("prune.md", "# Pruning apple trees\n\nSourdough, kettles, and bicycle brakes.\n");
    add(&node, &place.notes()).await;
    mine(&node, &out, 40).await;
    let text = fs::read_to_string(&out).expect("is there");
    assert!(text.contains("Pruning apple trees") && !text.contains("Apple trees number"), "{text}");
}

#[tokio::test]
async fn what_is_cancelled_leaves_no_file() {
    let place = Place::new();
    let node = place.open();
    add(&node, &place.notes()).await;
    let folder = place.dir.path().join("out");
    fs::create_dir(&folder).expect("makes it");
    let cancel = CancelFlag::new();
    cancel.cancel();
    let (collections, path) = (Vec::new(), folder.join("pairs.jsonl"));
    let mine = Call::Mine(MineCall { collections, path, negatives: 0 });
    let error = node.call(mine, &mut |_| {}, cancel).await.expect_err("is cancelled");
    assert_eq!(error.code, ErrorCode::Cancelled);
    assert_eq!(fs::read_dir(&folder).expect("lists").count(), 0);
}
