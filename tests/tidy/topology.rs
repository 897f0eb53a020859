//! Law: `nats/topology.txt`, which people review, is what the code declares.

use crate::repository::root;

#[test]
fn the_reviewed_topology_is_what_the_code_declares() {
    let reviewed = std::fs::read_to_string(root().join("nats/topology.txt")).unwrap();
    let declared = bus::topology::text();
    let first = reviewed.lines().zip(declared.lines()).position(|(reviewed, declared)| reviewed != declared);
    assert!(
        reviewed == declared,
        "nats/topology.txt differs (first in line {:?}); print it anew and review the change:\n{declared}",
        first.map(|index| index + 1),
    );
}
