//! Whether this process is in a container, decided as kaniko decides it.

use std::path::Path;

/// Names that give a container away in a control group, a command line or a variable.
const ENGINES: [&str; 12] = [
    "docker",
    "rkt",
    "systemd-nspawn",
    "lxc",
    "lxc-libvirt",
    "openvz",
    "kube",
    "garden",
    "podman",
    "gvisor",
    "firejail",
    "wsl",
];

/// What there is to see of a container from inside; texts are empty where a file is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Traces {
    /// One of the files that engines leave exists.
    marker: bool,
    cgroup: String,
    openvz: bool,
    runsc: bool,
    first_command: String,
    version_signature: String,
    variable: String,
    systemd: String,
    mounts: String,
}

/// Returns true if this process is in a container.
///
/// # Spec
/// Compat spec 1.7.
pub fn inside() -> bool {
    Traces::find().say_container()
}

impl Traces {
    fn find() -> Self {
        const MARKERS: [&str; 3] = [
            "/run/.containerenv",
            "/.dockerenv",
            "/var/run/secrets/kubernetes.io/serviceaccount",
        ];
        let text = |path: &str| {
            // Whatever cannot be read says nothing.
            let bytes = fs_err::read(path).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        // What may not be looked at is there.
        let exists = |path: &str| Path::new(path).try_exists().unwrap_or(true);
        Self {
            marker: MARKERS.into_iter().any(exists),
            cgroup: text("/proc/self/cgroup"),
            openvz: exists("/proc/vz") && !exists("/proc/bc"),
            runsc: exists("/__runsc_containers__"),
            first_command: text("/proc/1/cmdline"),
            version_signature: text("/proc/version_signature"),
            variable: std::env::var("container").unwrap_or_default(),
            systemd: text("/run/systemd/container"),
            mounts: text("/proc/mounts"),
        }
    }

    fn say_container(&self) -> bool {
        let named = |text: &str| ENGINES.iter().any(|engine| text.contains(engine));
        let root_is_overlay = self.mounts.lines().next().is_some_and(|line| {
            let mut words = line.split(' ').skip(1);
            words.next() == Some("/") && words.next() == Some("overlay")
        });
        self.marker
            || named(&self.cgroup)
            || self.openvz
            || self.runsc
            || named(&self.first_command)
            || self.version_signature.starts_with("Microsoft")
            || named(&self.variable)
            || named(&self.systemd)
            || root_is_overlay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trace_is_enough() {
        let host = || Traces {
            cgroup: "0::/user.slice\n".into(),
            first_command: "/sbin/init\0".into(),
            mounts: "/dev/sda / ext4 rw 0 0\noverlay /x overlay rw 0 0\n".into(),
            ..Traces::default()
        };
        let with = |change: fn(&mut Traces)| {
            let mut traces = host();
            change(&mut traces);
            traces.say_container()
        };
        assert!(!host().say_container());
        assert!(with(|traces| traces.marker = true));
        assert!(with(|traces| traces.cgroup = "0::/kubepods/x\n".into()));
        assert!(with(|traces| traces.openvz = true));
        assert!(with(|traces| traces.runsc = true));
        assert!(with(
            |traces| traces.first_command = "/usr/bin/podman\0".into()
        ));
        assert!(with(
            |traces| traces.version_signature = "Microsoft 1".into()
        ));
        assert!(with(|traces| traces.variable = "podman".into()));
        assert!(!with(|traces| traces.variable = "oci".into()));
        assert!(with(|traces| traces.systemd = "docker".into()));
        assert!(with(
            |traces| traces.mounts = "overlay / overlay rw 0 0\n".into()
        ));
    }
}
