//! What root is allowed to do inside a RUN.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// What container engines grant root by default.
pub const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// What a RUN keeps that shares the executor's pid and user namespaces.
///
/// Without CAP_SETPCAP its permitted set can no longer contain the executor's, and for that the kernel refuses it the
/// executor's `/proc/<pid>/environ`, `root` and memory, and those of every other process of the container.
pub const BESIDE_THE_EXECUTOR: CapabilitySet =
    CapabilitySet::all().difference(CapabilitySet::SETPCAP);

/// What a RUN keeps in a chroot: a second chroot would be the way out.
pub const CHROOT: CapabilitySet = BESIDE_THE_EXECUTOR.difference(CapabilitySet::SYS_CHROOT);

/// True if this process may take capabilities away from its children.
pub fn can_reduce() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SETPCAP))
}

/// Limits the next program to `keep`: the bounding set shrinks, the inheritable and ambient sets become empty.
///
/// An executor without CAP_SETPCAP may not shrink the bounding set; the warning for that is given once, by the selection.
pub fn reduce(keep: CapabilitySet) -> rustix::io::Result<()> {
    match clear_ambient_capability_set() {
        Err(Errno::INVAL) | Ok(()) => {}
        Err(error) => return Err(error),
    }
    if can_reduce() {
        // The effective set, which the calls below need, only follows at the exec.
        for bit in 0..64 {
            let capability = CapabilitySet::from_bits_retain(1 << bit);
            if keep.contains(capability) {
                continue;
            }
            match capability_is_in_bounding_set(capability) {
                Ok(true) => remove_capability_from_bounding_set(capability)?,
                Ok(false) => {}
                // Beyond the last capability this kernel knows.
                Err(_) => break,
            }
        }
    }
    let mut sets = capabilities(None)?;
    sets.inheritable = CapabilitySet::empty();
    set_capabilities(None, sets)
}
