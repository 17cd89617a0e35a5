//! How many stages are built at a time.

use std::path::Path;

use super::outlook::Prospect;
use super::schedule::{self, Dependencies};
use crate::execute::run::Isolation;
use crate::plan::{Base, Plan, PlannedStage, Step};

/// More stages than this at a time get into each other's way on the disk.
const MOST: usize = 8;

/// What a stage may need in memory; what its commands take is mostly the larger part.
const MEMORY: u64 = 1 << 30;

/// Returns what each stage waits for: the stages it is based on or reads, as far as anything is done in them.
pub fn dependencies(plan: &Plan, prospects: &[Prospect]) -> Dependencies {
    let stages = plan.stages.iter().zip(prospects);
    let of = |(stage, prospect): (&PlannedStage, &Prospect)| {
        let base = match stage.base {
            Base::Stage(base) => Some(base),
            Base::Scratch | Base::Image(..) => None,
        };
        let steps = stage.steps.iter().take(prospect.work);
        let read = steps.flat_map(Step::stages_read);
        base.into_iter().chain(read).collect()
    };
    stages.map(of).collect()
}

/// Returns how many stages are built at a time: as many as were asked for, else one a processor unless memory is short.
///
/// In place, commands see one `/`, and whatever opens a path meanwhile sees what they see: one stage after the other.
pub fn jobs(
    wanted: Option<usize>,
    isolation: Option<&Isolation>,
    prospects: &[Prospect],
    dependencies: &Dependencies,
) -> usize {
    let in_place = matches!(isolation, Some(Isolation::InPlace(_)));
    let needed: Vec<usize> = (0..prospects.len())
        .filter(|position| prospects[*position].has_root())
        .collect();
    if in_place || !schedule::is_parallel(dependencies, &needed) {
        return 1;
    }
    wanted.unwrap_or_else(|| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let by_memory = memory_limit().map_or(MOST as u64, |limit| limit / MEMORY);
        let by_memory = usize::try_from(by_memory).unwrap_or(MOST);
        processors.min(by_memory).clamp(1, MOST)
    })
}

/// Returns how many bytes the control group of this process may use, if it is limited.
fn memory_limit() -> Option<u64> {
    let files = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limit = |file: &&str| limit(&fs_err::read_to_string(Path::new(file)).ok()?);
    files.iter().find_map(limit)
}

/// Reads a limit; `max`, as version 2 says, is none.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("268435456\n"), Some(256 << 20));
        // version 1 says "unlimited" as a number that is larger than any memory
        assert_eq!(
            limit("9223372036854771712\n"),
            Some(9_223_372_036_854_771_712)
        );
    }

    #[test]
    fn side_by_side_only_where_stages_do_not_wait() {
        let prospect = |work| Prospect {
            is_wanted: true,
            is_read: false,
            work,
        };
        let fork: Dependencies = vec![[].into(), [].into(), [0, 1].into()];
        let all = [prospect(1), prospect(1), prospect(1)];
        assert_eq!(jobs(Some(5), None, &all, &fork), 5);
        assert!(jobs(None, None, &all, &fork) <= MOST);
        assert_eq!(jobs(Some(5), Some(&Isolation::Chroot), &all, &fork), 5);
        // the layers of the second stage are all cached
        let some = [prospect(1), prospect(0), prospect(1)];
        assert_eq!(jobs(Some(5), None, &some, &fork), 1);
    }
}
