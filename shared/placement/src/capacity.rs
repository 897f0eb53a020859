//! Whether a job could ever run on the GPUs that are known, even if they were empty.

use crate::{Cluster, Job, Registered};

impl Cluster {
    /// Why no service will ever be able to do the job, with numbers; none if one may. An unknown service or type may
    /// still be registered and a GPU host may still connect, so those are waited for.
    pub(crate) fn never_fits<'a>(&self, candidates: impl Iterator<Item = &'a Registered>) -> Option<String> {
        let mut refused = None;
        for known in candidates {
            if known.container.spot.is_some() {
                return None;
            }
            match self.too_large(known) {
                None => return None,
                Some(why) => refused = Some(why),
            }
        }
        refused
    }

    /// The enabled services that may do a job.
    pub(crate) fn candidates<'a>(&'a self, job: &'a Job) -> Box<dyn Iterator<Item = &'a Registered> + 'a> {
        let fits = |known: &&Registered| known.service.enabled && known.service.service_type == job.spec.service_type;
        match &job.spec.service_name {
            Some(pin) => Box::new(self.services.get(pin).into_iter().filter(fits)),
            None => Box::new(self.services.values().filter(fits)),
        }
    }

    fn too_large(&self, known: &Registered) -> Option<String> {
        let need = known.need_mb(&self.policy);
        let wanted = usize::from(known.service.gpus);
        let mut most_fitting = 0;
        let mut largest = 0;
        let mut hosts = 0;
        for (id, node) in &self.nodes {
            if !known.service.may_be_on(id) {
                continue;
            }
            hosts += 1;
            // What its GPUs hold is not known, so nothing that needs one is too large for them.
            if node.unread && wanted > 0 {
                return None;
            }
            let usable = node.devices.iter().filter(|device| known.service.may_use(device, id));
            let sizes = usable.filter_map(|device| self.devices.get(device)).map(crate::Device::capacity_mb);
            let mut fitting = 0;
            for size in sizes {
                largest = largest.max(size);
                fitting += usize::from(size >= need);
            }
            if fitting >= wanted {
                return None;
            }
            most_fitting = most_fitting.max(fitting);
        }
        if hosts == 0 {
            return None;
        }
        let name = &known.service.name;
        Some(format!(
            "can never fit: '{name}' needs {need} MB on each of {wanted} GPU(s) of one node, but the largest GPU it \
             may use gives {largest} MB and no node has more than {most_fitting} that are large enough"
        ))
    }
}
