//! What flows: any owned value that can cross a wire.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// One datum of a stream. Implemented for every type that fits.
pub trait Record: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Record for T {}
