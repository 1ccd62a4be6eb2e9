//! A storage service between a node and its store: requests that go wrong.
//!
//! What a service answers and what it did are two things. A request may be carried out and reported failed
//! because its answer was lost; it may be refused; it may take long. A conditional put may be refused with
//! nobody else there: a client that repeats a request whose answer was lost meets its own object (412), and
//! S3 answers 409 when requests meet. All of these are legal, and an engine must hold under them (H3).
//!
//! Requests that strike nothing pass through in the same polls, and nothing here draws.
//! Deliberately absent: multipart uploads, copies and recursive listings, which pass through; the engine
//! asks none of them of a directory.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt, iter, once};
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use super::clock::Timeline;
use super::strikes::Strikes;
use super::{World, lock};

const NAME: &str = "service";

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// It is carried out, and an error is reported so much later.
    Indeterminate(Duration),
    /// It fails and has no effect.
    Refused,
    /// It takes so much longer.
    Slow(Duration),
    /// A conditional put is refused, although nobody else wrote.
    Conflict {
        /// Whether it was carried out: then it is its own repetition that was refused.
        is_applied: bool,
    },
}

/// What is asked of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// Write an object.
    Put,
    /// Read an object.
    Get,
    /// Remove objects.
    Delete,
    /// List a directory.
    List,
}

impl World {
    /// `store`, whose objects are named below `root`, as `node` reaches it.
    pub fn service(
        &self,
        node: &str,
        root: &Path,
        store: Arc<dyn ObjectStore>,
    ) -> Arc<dyn ObjectStore> {
        let service = self.inner.service.clone();
        Arc::new(Reached { store, service, node: self.index(node), root: root.to_owned() })
    }

    /// The next `count` requests of `node` of this kind, or of any, for paths that contain `path_contains`
    /// go wrong. [`World::heal_disks`] takes it back.
    pub fn fail_service(
        &self,
        node: &str,
        mishap: Mishap,
        request: Option<Request>,
        path_contains: &str,
        count: u32,
    ) {
        let (node, path_contains) = (self.index(node), path_contains.to_owned());
        if count > 0 {
            let armed = Armed { node, mishap, request, path_contains, count };
            lock(&self.inner.service.armed).push(armed);
        }
    }
}

/// What is about to go wrong.
pub(crate) struct Service {
    timeline: Arc<Timeline>,
    strikes: Strikes,
    armed: Mutex<Vec<Armed>>,
}

struct Armed {
    node: u32,
    mishap: Mishap,
    request: Option<Request>,
    path_contains: String,
    count: u32,
}

impl Service {
    pub(crate) fn new(timeline: Arc<Timeline>, strikes: Strikes) -> Self {
        Self { timeline, strikes, armed: Mutex::default() }
    }

    pub(crate) fn heal(&self) {
        lock(&self.armed).clear();
    }

    fn is_armed(&self, node: u32, request: Request) -> bool {
        lock(&self.armed).iter().any(|it| it.concerns(node, request))
    }

    fn take(
        &self,
        node: u32,
        request: Request,
        is_conditional: bool,
        path: &Path,
    ) -> Option<Mishap> {
        let mut armed = lock(&self.armed);
        let path = path.to_string_lossy();
        let struck = armed.iter_mut().find(|it| {
            let can_happen = is_conditional || !matches!(it.mishap, Mishap::Conflict { .. });
            it.concerns(node, request) && can_happen && path.contains(&it.path_contains)
        })?;
        struck.count -= 1;
        let mishap = struck.mishap;
        armed.retain(|it| it.count > 0);
        self.strikes.hit(match mishap {
            Mishap::Indeterminate(_) => "service-indeterminate",
            Mishap::Refused => "service-refused",
            Mishap::Slow(_) => "service-slow",
            Mishap::Conflict { .. } => "service-conflict",
        });
        Some(mishap)
    }
}

impl Armed {
    fn concerns(&self, node: u32, request: Request) -> bool {
        self.node == node && self.request.is_none_or(|it| it == request)
    }
}

/// A store as one node reaches it.
#[derive(Clone)]
struct Reached {
    store: Arc<dyn ObjectStore>,
    service: Arc<Service>,
    node: u32,
    root: PathBuf,
}

impl Reached {
    /// Carries the request out, or lets happen to it what is to happen. `conflict` is how a conditional one
    /// is refused.
    async fn request<T>(
        &self,
        request: Request,
        key: &Key,
        conflict: Option<Error>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let path = self.root.join(key.as_ref());
        let Some(mishap) = self.service.take(self.node, request, conflict.is_some(), &path) else {
            return work.await;
        };
        let timeline = &self.service.timeline;
        match mishap {
            Mishap::Refused => Err(unavailable("the service is not available")),
            Mishap::Indeterminate(after) => {
                work.await?;
                timeline.sleep(after).await;
                Err(unavailable("the service did not answer"))
            }
            Mishap::Slow(longer) => {
                timeline.sleep(longer).await;
                work.await
            }
            Mishap::Conflict { is_applied } => {
                if is_applied {
                    work.await?;
                }
                Err(conflict.expect("only a conditional request meets a conflict"))
            }
        }
    }
}

fn unavailable(why: &'static str) -> Error {
    Error::Generic { store: NAME, source: why.into() }
}

/// How a service refuses a put of this mode; `None` when it has no condition.
fn conflict(mode: &PutMode, key: &Key) -> Option<Error> {
    let (path, source) = (key.to_string(), "409 Conflict".into());
    match mode {
        PutMode::Overwrite => None,
        PutMode::Create => Some(Error::AlreadyExists { path, source }),
        PutMode::Update(_) => Some(Error::Precondition { path, source }),
    }
}

impl fmt::Debug for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reached({:?})", self.store)
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Reached {
    async fn put_opts(
        &self,
        location: &Key,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult, Error> {
        let conflict = conflict(&options.mode, location);
        let put = self.store.put_opts(location, payload, options);
        self.request(Request::Put, location, conflict, put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Key,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>, Error> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Key, options: GetOptions) -> Result<GetResult, Error> {
        let got = self.store.get_opts(location, options);
        self.request(Request::Get, location, None, got).await
    }

    /// Objects are removed together, so what happens to the first happens to all.
    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Key, Error>>,
    ) -> BoxStream<'static, Result<Key, Error>> {
        if !self.service.is_armed(self.node, Request::Delete) {
            return self.store.delete_stream(locations);
        }
        let this = self.clone();
        let removed = async move {
            let keys: Vec<_> = locations.collect().await;
            let first = keys.iter().flatten().next().cloned().unwrap_or_default();
            let removed = this.store.delete_stream(iter(keys).boxed());
            let removed = async { Ok(removed.collect::<Vec<_>>().await) };
            let removed = this.request(Request::Delete, &first, None, removed).await;
            iter(removed.unwrap_or_else(|error| vec![Err(error)]))
        };
        once(removed).flatten().boxed()
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta, Error>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult, Error> {
        let directory = prefix.cloned().unwrap_or_default();
        let listed = self.store.list_with_delimiter(prefix);
        self.request(Request::List, &directory, None, listed).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<(), Error> {
        self.store.copy_opts(from, to, options).await
    }
}
