//! File descriptors: as many as the system allows, raised before anything is opened.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on open files to the hard one. Every connection takes a descriptor, and the journal must not
/// be the one that finds none left.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if limit.current != limit.maximum
        && let Err(why) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%why, "the limit on open files cannot be raised");
    }
}
