//! Exact answers by a scan: what recall is measured against.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::rows::K;
use super::sets::Set;

/// Chunks read at a time, so that a set may be larger than memory.
const BLOCK: usize = 4096;
/// Sums kept side by side, so that the compiler can use wide registers.
const LANES: usize = 16;

/// A question's best chunks so far, best first: score and id.
type Best = Vec<(f32, u32)>;

/// Writes the ids of the exact answers to the set's truth file, unless it is there.
pub fn answers(set: &Set) -> Result<()> {
    if set.truth.exists() {
        return Ok(());
    }
    let Some(dim) = set.dim.filter(|dim| *dim > 0) else {
        bail!(
            "{} is missing; only for raw vectors (set.json) it is made here",
            set.truth.display()
        );
    };
    eprintln!("exact answers for {}", set.data);
    let queries = read_all(&set.queries, dim)?;
    let best = scan(&set.vectors, &queries, dim)
        .with_context(|| format!("in {}", set.vectors.display()))?;
    let partial = set.truth.with_extension("partial");
    let mut file = File::create(&partial)?;
    for (_, id) in best.iter().flatten() {
        file.write_all(&id.to_le_bytes())?;
    }
    file.sync_all()?;
    fs::rename(&partial, &set.truth)?;
    Ok(())
}

/// The [`K`] best chunks of each query by inner product; equal scores by id.
fn scan(vectors: &Path, queries: &[f32], dim: usize) -> Result<Vec<Best>> {
    let mut best: Vec<Best> = vec![Vec::with_capacity(K + 1); queries.len() / dim];
    let mut reader = BufReader::new(File::open(vectors)?);
    let mut first = 0u32;
    loop {
        let mut bytes = Vec::new();
        reader.by_ref().take((BLOCK * dim * 4) as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            break;
        }
        let rows = floats(&bytes, dim)?;
        for (query, best) in queries.chunks_exact(dim).zip(&mut best) {
            for (id, row) in (first..).zip(rows.chunks_exact(dim)) {
                offer(best, dot(query, row), id);
            }
        }
        first += u32::try_from(rows.len() / dim).expect("a block is small");
    }
    ensure!(first as usize >= K, "there are fewer than {K} vectors");
    Ok(best)
}

fn offer(best: &mut Best, score: f32, id: u32) {
    if best.len() == K && score <= best[K - 1].0 {
        return;
    }
    let at = best.partition_point(|(kept, _)| *kept >= score);
    best.insert(at, (score, id));
    best.truncate(K);
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// All rows of a raw file of little-endian floats.
fn read_all(path: &Path, dim: usize) -> Result<Vec<f32>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    floats(&bytes, dim).with_context(|| format!("in {}", path.display()))
}

fn floats(bytes: &[u8], dim: usize) -> Result<Vec<f32>> {
    ensure!(
        bytes.len().is_multiple_of(4 * dim),
        "the file ends within a vector of {dim} dimensions"
    );
    Ok(bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` vectors on a circle, the first along the x axis, each a bit further round.
    fn circle(count: usize) -> Vec<u8> {
        let angles = (0..count).map(|number| number as f32 * 1e-3);
        angles.flat_map(|angle| [angle.cos(), angle.sin()]).flat_map(f32::to_le_bytes).collect()
    }

    fn set(folder: &Path, vectors: &[u8], queries: &[u8]) -> Set {
        fs::write(folder.join("vectors.f32"), vectors).expect("writes");
        fs::write(folder.join("queries.f32"), queries).expect("writes");
        fs::write(folder.join("set.json"), r#"{"data": "circle", "dim": 2}"#).expect("writes");
        Set::open(folder).expect("a set")
    }

    #[test]
    fn neighbours_on_a_circle_are_found_across_blocks() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let vectors = circle(BLOCK + 100);
        let middle = &vectors[8 * BLOCK..8 * BLOCK + 8];
        let set = set(folder.path(), &vectors, &[&vectors[..8], middle].concat());
        answers(&set).expect("answers");
        let truth = fs::read(&set.truth).expect("the truth");
        let ids: Vec<u32> = truth.as_chunks().0.iter().map(|id| u32::from_le_bytes(*id)).collect();
        assert_eq!(ids.len(), 2 * K);
        assert_eq!(ids[..K], (0..K as u32).collect::<Vec<_>>());
        assert_eq!(ids[K], BLOCK as u32);
        assert!(ids[K..].iter().all(|id| id.abs_diff(BLOCK as u32) <= 5), "{ids:?}");
    }

    #[test]
    fn half_a_vector_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let set = set(folder.path(), &circle(20)[..150], &circle(1));
        assert!(answers(&set).is_err());
        assert!(!set.truth.exists());
    }

    #[test]
    fn dots_add_up_beyond_the_lanes() {
        let ones = vec![1.0; 2 * LANES + 3];
        assert_eq!(dot(&ones, &ones), (2 * LANES + 3) as f32);
    }
}
