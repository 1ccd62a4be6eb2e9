//! What runs, and on what: the tables `[job]`, `[own_job]` and `[cluster]`.

use seawall_protocol::limits;
use toml::Spanned;

use super::Reader;
use crate::scenario::meaning::{Cluster, Workload};
use crate::scenario::problem::Problem;
use crate::scenario::{JobText, OwnJobText, ScenarioText};
use crate::{legal, workload};

impl Reader<'_> {
    pub(super) fn cluster(&mut self, shapes: &ScenarioText) -> Cluster {
        let cluster = &shapes.cluster;
        self.workers = self.at_least_one("`workers`", &cluster.workers);
        if self.workers as usize > limits::WORKERS_MAX {
            let message =
                format!("{} workers, expected at most {}", self.workers, limits::WORKERS_MAX);
            self.problem(Problem::at(cluster.workers.span(), message));
        }
        if let Some(coordinators) = &cluster.coordinators
            && *coordinators.get_ref() != 1
        {
            self.problem(Problem::at(
                coordinators.span(),
                format!(
                    "{} coordinators, expected 1: there is no leader election yet",
                    coordinators.get_ref()
                ),
            ));
        }
        let slots_per_worker = self.at_least_one("`slots_per_worker`", &cluster.slots_per_worker);
        self.slots = self.workers.saturating_mul(slots_per_worker);
        Cluster { workers: self.workers, slots_per_worker }
    }

    pub(super) fn workload(&mut self, shapes: &ScenarioText, cluster: Cluster) -> Option<Workload> {
        match (&shapes.job, &shapes.own_job) {
            (Some(job), None) => self.built_in(job, cluster),
            (None, Some(job)) => Some(self.own(job, cluster)),
            (None, None) => {
                self.problem(Problem::at(0..0, "missing field `job`"));
                None
            }
            (Some(_), Some(job)) => {
                let message = "`[own_job]` beside `[job]`, expected one job";
                self.problem(Problem::at(job.name.span(), message));
                None
            }
        }
    }

    /// A job that this program does not have: all that a file can say of it is how it is run.
    fn own(&mut self, job: &OwnJobText, cluster: Cluster) -> Workload {
        Workload {
            job: job.name.get_ref().clone(),
            is_own: true,
            parallelism: self.parallelism(&job.parallelism, cluster),
            records: job.records,
            keys: 0,
            rate: Some(job.rate.0),
            sink_rate: None,
            idle_after: None,
            files: 0,
            gzip: false,
            malformed: None,
            skew: None,
        }
    }

    fn parallelism(&mut self, text: &Spanned<u32>, cluster: Cluster) -> u32 {
        let parallelism = self.at_least_one("`parallelism`", text);
        let slots = u64::from(cluster.workers) * u64::from(cluster.slots_per_worker);
        if u64::from(parallelism) > slots {
            self.problem(
                Problem::at(
                    text.span(),
                    format!(
                        "parallelism {parallelism} needs {parallelism} slots, the cluster has {slots}: {} workers with {} each",
                        cluster.workers, cluster.slots_per_worker
                    ),
                )
                .hint("raise cluster.workers or cluster.slots_per_worker, or lower job.parallelism"),
            );
        }
        parallelism
    }

    fn built_in(&mut self, job: &JobText, cluster: Cluster) -> Option<Workload> {
        let name = job.name.get_ref().as_str();
        self.name("job", &job.name, &legal::jobs());
        let parallelism = self.parallelism(&job.parallelism, cluster);
        let (records, keys) = (*job.records.get_ref(), *job.keys.get_ref());
        if keys == 0 || keys > records.max(1) {
            self.problem(Problem::at(
                job.keys.span(),
                format!("{keys} keys, expected 1 to the number of records ({records})"),
            ));
        }
        let reads_files = workload::reads_files(name);
        let files = match (&job.files, reads_files) {
            (Some(files), true) => self.at_least_one("`files`", files),
            (None, true) => 1,
            (Some(files), false) => {
                self.problem(Problem::at(
                    files.span(),
                    format!("`files` has no effect: {name} reads no files"),
                ));
                return None;
            }
            (None, false) => 0,
        };
        if let (Some(gzip), false) = (&job.gzip, reads_files) {
            let message = format!("`gzip` has no effect: {name} reads no files");
            self.problem(Problem::at(gzip.span(), message));
        }
        let shares = [
            ("malformed", &job.malformed, name.starts_with("access-")),
            ("skew", &job.skew, reads_files),
        ];
        for (key, share, is_read) in shares {
            let Some(share) = share else { continue };
            if !is_read {
                let message = format!("`{key}` has no effect on the input of {name}");
                self.problem(Problem::at(share.span(), message));
            }
            if share.get_ref().0 > 100 {
                let message = format!("`{key}` is {}, expected at most 100%", share.get_ref());
                self.problem(Problem::at(share.span(), message));
            }
        }
        if let Some(rate) = &job.sink_rate
            && !workload::has_slow_sink(name)
        {
            self.problem(Problem::at(
                rate.span(),
                format!("`sink_rate` has no effect: the sink of {name} has no limit"),
            ));
        }
        if let Some(silence) = &job.idle_after
            && !workload::has_idleness(name)
        {
            let message = format!("`idle_after` has no effect: {name} has no watermarks");
            self.problem(Problem::at(silence.span(), message));
        }
        Some(Workload {
            job: name.to_owned(),
            is_own: false,
            parallelism,
            records,
            keys,
            rate: job.rate.as_ref().map(|it| it.get_ref().0),
            sink_rate: job.sink_rate.as_ref().map(|it| it.get_ref().0),
            idle_after: job.idle_after.as_ref().map(|it| it.get_ref().0),
            files,
            gzip: job.gzip.as_ref().is_some_and(|it| *it.get_ref()),
            malformed: job.malformed.as_ref().map(|it| it.get_ref().0),
            skew: job.skew.as_ref().map(|it| it.get_ref().0),
        })
    }
}
