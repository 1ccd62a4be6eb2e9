//! The fault budget: which faults of a disk the engine owes to survive.
//!
//! The engine keeps one copy of what it needs. Damage to a retained checkpoint is an error and never a
//! reason to fall back to an older one (P4), so a fault that destroys a durable file of storage, input or
//! output destroys the last copy. Outside the budget the engine owes one thing: to notice. Inside it, it
//! owes every property.
//!
//! Deliberately absent: failures, delays and mishaps of the storage service, which are all inside.

use std::path::Path;

use seawall_runtime::storage::layout;

use crate::workload::{INPUT, SCRATCH, STORAGE, STORAGE_THEN};
use crate::world::{Leaves, Lie};

/// Whether a crash may leave this. A rename that leaves its file without any name takes the only copy of
/// what a sink is about to commit.
pub fn allows_crash(leaves: Leaves) -> bool {
    match leaves {
        Leaves::Drawn
        | Leaves::Nothing
        | Leaves::Everything
        | Leaves::Prefix
        | Leaves::Hole
        | Leaves::LastDirectory
        | Leaves::BothNames => true,
        Leaves::NoName => false,
    }
}

/// Whether a disk may tell this lie about this path.
pub fn allows_lie(lie: Lie, path: &Path) -> bool {
    match lie {
        // Files of storage and output say how long they are; of input only its own length is known.
        Lie::ShortRead => !path.starts_with(INPUT),
        // A checksum tells, and the next attempt reads again; a sink that meets other bytes than it wrote
        // gives up at once, and nothing tells of lines of text.
        Lie::RottenRead => is_storage(path) || path.starts_with(SCRATCH),
        // The sync succeeded: nobody writes the bytes again.
        Lie::MisdirectedWrite | Lie::PhantomWrite => false,
    }
}

/// Whether bits of this file may be inverted: nothing is lost with it that the engine needs.
pub fn allows_rot(path: &Path) -> bool {
    let is_history = |root| path == layout::history(Path::new(root));
    path.starts_with(SCRATCH) || [STORAGE, STORAGE_THEN].into_iter().any(is_history)
}

fn is_storage(path: &Path) -> bool {
    [STORAGE, STORAGE_THEN].into_iter().any(|root| path.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durable_files_that_the_engine_needs_are_never_damaged() {
        for needed in ["record", "splits", "origin", "chk-7/manifest", "chk-7/op0-0.snapshot"] {
            let path = Path::new(STORAGE).join(needed);
            assert!(!allows_rot(&path), "{}", path.display());
            assert!(!allows_lie(Lie::PhantomWrite, &path), "{}", path.display());
        }
        assert!(!allows_rot(Path::new("/output/part-0-chk-7.csv")));
        assert!(allows_rot(Path::new("/scratch/op0-0")));
        assert!(allows_rot(Path::new("/checkpoints-then/history")));
    }

    #[test]
    fn reads_may_lie_where_the_reader_can_tell_and_read_again() {
        let allowed = |lie| {
            [STORAGE, SCRATCH, INPUT, "/output"].map(|it| allows_lie(lie, &Path::new(it).join("x")))
        };
        assert_eq!(allowed(Lie::ShortRead), [true, true, false, true]);
        assert_eq!(allowed(Lie::RottenRead), [true, true, false, false]);
        assert_eq!(allowed(Lie::MisdirectedWrite), [false; 4]);
    }

    #[test]
    fn a_crash_may_leave_anything_but_a_file_without_a_name() {
        assert!(allows_crash(Leaves::Hole) && allows_crash(Leaves::BothNames));
        assert!(!allows_crash(Leaves::NoName));
    }
}
