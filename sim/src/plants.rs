//! Planted bugs: defects put into the engine on purpose, from outside, each of which a named property
//! must see. An oracle that cannot fail is a defect.

use seawall_env::Env;
use seawall_stream::Job;

/// One planted bug.
pub struct Plant {
    /// Its name in `plant`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The real bug it re-creates.
    pub after: &'static str,
    /// Puts it between the engine and its world.
    pub in_env: fn(&mut Env),
    /// Puts it into the job.
    pub in_job: fn(&Job) -> Job,
}

/// Every planted bug.
pub const ALL: &[Plant] = &[];

impl Plant {
    /// The planted bug of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|it| it.name == name)
    }
}
