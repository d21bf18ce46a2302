//! `covey demo`: three real nodes on this machine found a group and search each other's notes.
//!
//! The demo only does what a person could type; it talks to each daemon through its local API.
//! However it ends, its processes and files go with it.

mod corpus;
mod member;

use std::path::Path;
use std::time::{Duration, Instant};

use covey_node::api::{
    ApiError, Call, DemoMember, DemoQuestion, DemoReport, ErrorCode, Reply, SearchCall,
    SearchReport,
};
use covey_protocol::ids::Name;
use futures::future::try_join_all;

use self::corpus::{PEOPLE, Person};
use self::member::Member;
use crate::output::Output;
use crate::session::{Interrupts, block_on, cancelled};
use crate::show::{Style, search_report};
use crate::text::{count, duration};

const GROUP: &str = "neighbours";

/// Who asks what while all three are there, and what there is to see in the answer.
const QUESTIONS: [(usize, &str, &str); 4] = [
    (
        1,
        "brown rotten patch under my tomatoes",
        "Ada reveals whole passages, so Ben's node can check the score itself",
    ),
    (0, "the chain jumps when I pedal uphill", "Ben reveals snippets; their score is his claim"),
    (
        1,
        "how often do I feed a sourdough starter",
        "two members hold the same note: one result, both named",
    ),
    (0, "how many meteors fall in August", "Chloé reveals no more than that her sky diary matches"),
];
/// Asked by the third member after the second one's node was killed.
const LAST_QUESTION: &str = "which bicycle tyres for snow and ice";

/// Runs the demo.
pub fn run(output: &Output) -> Result<(), ApiError> {
    block_on(async {
        let mut interrupts = Interrupts::catch()?;
        tokio::select! {
            result = story(output) => result,
            () = interrupts.next() => Err(cancelled()),
        }
    })
}

async fn story(output: &Output) -> Result<(), ApiError> {
    let started = Instant::now();
    // Declared before the members, so that it is removed after their processes have ended.
    let folder = tempfile::Builder::new().prefix("covey-demo-").tempdir();
    let folder = folder.map_err(|error| {
        ApiError::new(ErrorCode::Storage, format!("cannot make a temporary folder: {error}"))
    })?;
    let demo = Demo { output, folder: folder.path() };
    demo.say(&format!(
        "Three people, three nodes, three processes on this machine. All of it lives in {}\nand is gone at the end.",
        folder.path().display()
    ))?;

    let mut members = demo.start().await?;
    let collections =
        try_join_all(members.iter().zip(&PEOPLE).map(|(m, p)| demo.index(m, p))).await?;
    demo.found_group(&members).await?;
    demo.share(&members).await?;

    let mut questions = Vec::new();
    for (asker, question, remark) in QUESTIONS {
        questions.push(demo.ask(&members[asker], question, remark).await?);
    }

    demo.heading("One of them disappears")?;
    let ben = members.remove(1);
    demo.say(&format!("{}'s node is killed, as a power cut would.", ben.name))?;
    ben.kill();
    let asker = members.last().ok_or_else(unexpected)?;
    questions.push(demo.ask(asker, LAST_QUESTION, "the answer says who is missing").await?);
    demo.audit(&members[0]).await?;
    drop(members);

    let report = DemoReport {
        members: collections,
        questions,
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    demo.next_steps(started.elapsed())?;
    drop(folder);
    output.done(Reply::Demo(report))
}

struct Demo<'a> {
    output: &'a Output,
    folder: &'a Path,
}

impl Demo<'_> {
    fn say(&self, text: &str) -> Result<(), ApiError> {
        if self.output.is_json() {
            return Ok(());
        }
        self.output.line(text).map(|_| ())
    }

    fn heading(&self, text: &str) -> Result<(), ApiError> {
        self.say(&format!("\n{}", Style::of_stdout().bold(text)))
    }

    async fn start(&self) -> Result<Vec<Member>, ApiError> {
        let spawn = |person: &Person| Member::spawn(&name(person.name)?, &self.home(person));
        let mut members = PEOPLE.iter().map(spawn).collect::<Result<Vec<_>, _>>()?;
        try_join_all(members.iter_mut().map(Member::ready)).await?;
        Ok(members)
    }

    /// The home of `person`: a short ASCII path, as a socket's has to be.
    fn home(&self, person: &Person) -> std::path::PathBuf {
        self.folder.join(&person.name[..1])
    }

    async fn index(&self, member: &Member, person: &Person) -> Result<DemoMember, ApiError> {
        let (mut files, mut chunks) = (0, 0);
        for share in person.shares {
            let path = self.home(person).join("notes").join(share.collection);
            share.write(&path).map_err(|error| {
                ApiError::new(
                    ErrorCode::Storage,
                    format!("cannot write {}: {error}", path.display()),
                )
            })?;
            let collection = Some(name(share.collection)?);
            let Reply::Added(added) =
                member.call(Call::Add { path, collection, profile: None }).await?
            else {
                return Err(unexpected());
            };
            files += added.added;
            chunks += added.chunks;
            self.say(&format!(
                "  {} indexed {}: {} as {} in {}",
                member.name,
                share.collection,
                count(added.added, "file"),
                count(added.chunks, "passage"),
                duration(Duration::from_millis(added.elapsed_ms)),
            ))?;
        }
        let reveals: Vec<_> = person.shares.iter().map(reveals).collect();
        Ok(DemoMember {
            name: member.name.clone(),
            node: member.node,
            files,
            chunks,
            reveals: reveals.join(", "),
        })
    }

    async fn found_group(&self, members: &[Member]) -> Result<(), ApiError> {
        let (founder, others) = members.split_first().ok_or_else(unexpected)?;
        self.heading(&format!("{} founds the group {GROUP} and invites the others", founder.name))?;
        let group = name(GROUP)?;
        founder.call(Call::GroupCreate { group: group.clone(), member: None }).await?;
        for member in others {
            let invite = Call::Invite { group: group.clone(), expires_s: Some(600) };
            let Reply::Invite { code, .. } = founder.call(invite).await? else {
                return Err(unexpected());
            };
            let head: String = code.chars().take(24).collect();
            self.say(&format!("  {} pastes the code {head}…", member.name))?;
            let join = Call::Join { code, member: None, wait_s: None };
            let Reply::Group(joined) = member.call(join).await? else { return Err(unexpected()) };
            self.say(&format!(
                "  {} is in: {}",
                member.name,
                count(joined.members.into(), "member")
            ))?;
        }
        Ok(())
    }

    async fn share(&self, members: &[Member]) -> Result<(), ApiError> {
        self.heading("Each decides what the others see")?;
        for (member, person) in members.iter().zip(&PEOPLE) {
            for share in person.shares {
                let (collection, group) = (name(share.collection)?, name(GROUP)?);
                member.call(Call::Share { collection, group, reveal: share.reveal }).await?;
                self.say(&format!("  {} shares {}", member.name, reveals(share)))?;
            }
        }
        Ok(())
    }

    async fn ask(
        &self,
        asker: &Member,
        question: &str,
        remark: &str,
    ) -> Result<DemoQuestion, ApiError> {
        self.heading(&format!("{} asks: {question}", asker.name))?;
        let report = self.search(asker, question).await?;
        let mut text = Vec::new();
        search_report(&report, &mut text, Style::of_stdout())
            .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
        self.say(String::from_utf8_lossy(&text).trim_end())?;
        self.say(&Style::of_stdout().dim(&format!("({remark})")))?;
        Ok(DemoQuestion { asker: asker.name.clone(), question: question.into(), report })
    }

    async fn search(&self, asker: &Member, question: &str) -> Result<SearchReport, ApiError> {
        let call = Call::Search(SearchCall {
            question: question.into(),
            group: Some(name(GROUP)?),
            limit: Some(2),
            ..SearchCall::default()
        });
        match asker.call(call).await? {
            Reply::Search(report) => Ok(report),
            _ => Err(unexpected()),
        }
    }

    async fn audit(&self, member: &Member) -> Result<(), ApiError> {
        self.heading(&format!("What {}'s node told the others is on record", member.name))?;
        let Reply::AuditVerified { records, .. } = member.call(Call::AuditVerify).await? else {
            return Err(unexpected());
        };
        self.say(&format!(
            "  {}, and the chain of their digests is whole (covey audit list)",
            count(records, "answer")
        ))
    }

    fn next_steps(&self, elapsed: Duration) -> Result<(), ApiError> {
        self.heading("Your turn")?;
        let covey = std::env::args().next().unwrap_or_else(|| "covey".into());
        self.say(&format!(
            "  {covey} init
  {covey} add ~/notes
  {covey} search \"a question about your notes\"
  {covey} daemon                    (then, in another terminal)
  {covey} group create lab
  {covey} share notes --group lab --reveal snippet
  {covey} invite lab                (prints a code; on the other machine: {covey} join CODE)

The demo took {}; its processes and files are gone.",
            duration(elapsed)
        ))
    }
}

fn reveals(share: &corpus::Share) -> String {
    format!("{} ({})", share.collection, format!("{:?}", share.reveal).to_lowercase())
}

fn name(text: &str) -> Result<Name, ApiError> {
    text.parse().map_err(|error| ApiError::new(ErrorCode::Internal, format!("{text}: {error}")))
}

fn unexpected() -> ApiError {
    ApiError::new(ErrorCode::Internal, "the demo's daemon gave an answer to another question")
}
