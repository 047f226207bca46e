//! Runs a target: the corpus as it is, then mutations of it, for a number of
//! cases or a time.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use sha2::{Digest as _, Sha256};

use super::mutation::mutated;

/// For how long each target is run, in seconds; without it, a few cases.
const SECS: &str = "ETL_HOST_FUZZ_SECS";
/// The seed of the first cases; without it, another one each time.
pub const SEED: &str = "ETL_HOST_FUZZ_SEED";
/// How often a failing case is tried with fewer mutations.
const SHRINKS_MAX: u32 = 500;

/// One thing that is fuzzed.
pub struct Target {
    /// Where its corpus is, and what it is called.
    pub folder: PathBuf,
    /// Cases of one seed: a short run.
    pub cases: u32,
    /// Files from elsewhere that begin cases too, beside its own corpus.
    pub more: Vec<Vec<u8>>,
    /// What mutations put in.
    pub words: &'static [&'static [u8]],
}

/// The folder of a target's corpus.
pub fn corpus(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("../tests/fuzz/corpus").join(name)
}

impl Target {
    /// Runs cases; `check` panics where one must not be.
    #[track_caller]
    pub fn fuzz(self, check: impl Fn(&[u8])) {
        let mut corpus = self.corpus();
        for bytes in &corpus {
            check(bytes);
        }
        corpus.extend(self.more.iter().cloned());
        let seconds = number(SECS).map(Duration::from_secs);
        let first = number(SEED).unwrap_or_else(rand::random);
        let began = Instant::now();
        let mut seed = first;
        loop {
            self.run(seed, &corpus, &check);
            seed = seed.wrapping_add(1);
            if seconds.is_none_or(|seconds| began.elapsed() >= seconds) {
                break;
            }
        }
        let cases = seed.wrapping_sub(first) * u64::from(self.cases);
        eprintln!("{}: {cases} cases from {SEED}={first}", self.name());
    }

    #[track_caller]
    fn run(&self, seed: u64, corpus: &[Vec<u8>], check: &impl Fn(&[u8])) {
        let config = Config {
            cases: self.cases,
            failure_persistence: None,
            max_shrink_iters: SHRINKS_MAX,
            ..Config::default()
        };
        let seed_bytes: [u8; 32] = Sha256::digest(seed.to_le_bytes()).into();
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let ran = runner.run(&mutated(corpus.to_vec(), self.words), |bytes| {
            check(&bytes);
            Ok(())
        });
        match ran {
            Ok(()) => {}
            Err(TestError::Abort(why)) => panic!("{}: {why}", self.name()),
            Err(TestError::Fail(why, bytes)) => panic!(
                "{}: {why}\n{SEED}={seed}; the input is kept as {}",
                self.name(),
                self.keep(&bytes).display()
            ),
        }
    }

    fn name(&self) -> String {
        let name = self.folder.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The target's own files, in the order of their names.
    fn corpus(&self) -> Vec<Vec<u8>> {
        let files = fs::read_dir(&self.folder).expect("read the corpus");
        let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{} is empty", self.folder.display());
        paths
            .iter()
            .map(|path| fs::read(path).expect("read a file of the corpus"))
            .collect()
    }

    fn keep(&self, bytes: &[u8]) -> PathBuf {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        let name: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        let path = self.folder.join(format!("found-{name}"));
        fs::write(&path, bytes).expect("keep the failing input");
        path
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a whole number"))
}

/// Without this, all else here would prove nothing.
#[test]
fn a_fault_that_few_cases_have_is_found_shrunk_and_kept() {
    let folder = std::env::temp_dir().join(format!("etl-host-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("make a folder");
    let file = b"nothing of it is wrong".to_vec();
    let target = Target {
        folder: folder.clone(),
        cases: 500,
        more: Vec::new(),
        words: &[b"fault", b"other", b"words"],
    };
    let fault = |bytes: &[u8]| bytes.windows(5).any(|part| part == b"fault");
    let corpus = [file.clone()];
    let check = |bytes: &[u8]| assert!(!fault(bytes), "found");
    let run = catch_unwind(AssertUnwindSafe(|| target.run(1, &corpus, &check)));
    let words = run.expect_err("the fault is found");
    let words = words.downcast::<String>().expect("words");
    assert!(words.contains("found\nETL_HOST_FUZZ_SEED=1"), "{words}");
    let (_, path) = words.split_once("is kept as ").expect("a place");
    let kept = fs::read(path).expect("it is kept");
    assert!(fault(&kept));
    // One mutation is left of up to eight.
    let change = kept.len().abs_diff(file.len());
    assert!(change <= b"fault".len(), "{kept:?}");
    fs::remove_dir_all(folder).expect("it is ours");
}
