//! Jobs and services over HTTP, as a test speaks of them.

use crate::client::Client;
use crate::until::{SOON, until};
use serde_json::{Value, json};

impl Client {
    /// Registers a service.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn register(&self, record: &Value) -> Value {
        self.post("//services/register", record).await.good()
    }

    /// Registers a service that is a container of an image with these arguments, in the host's network.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn register_image(
        &self,
        name: &str,
        port: u16,
        image: &str,
        arguments: &[String],
        more: &Value,
    ) -> Value {
        let definition = json!({"image": image, "command": arguments, "network": "host", "pull": "never"});
        let mut record = json!({"name": name, "container": name, "port": port, "type": name, "definition": definition});
        if let (Some(record), Some(more)) = (record.as_object_mut(), more.as_object()) {
            record.extend(more.clone());
        }
        self.register(&record).await
    }

    /// How a service stands.
    ///
    /// # Panics
    /// When it is not there.
    pub async fn service(&self, name: &str) -> Value {
        self.get(&format!("//services/{name}")).await.good()
    }

    /// Waits until a service is as it is expected to be.
    pub async fn until_service(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until(&format!("service {name} to be {what}"), 2 * SOON, async || {
            let found = self.get(&format!("//services/{name}")).await;
            if found.status == 200 && holds(&found.json()) { Ok(found.json()) } else { Err(found.text) }
        })
        .await
    }

    /// Submits a job and answers with its id.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn submit(&self, job: &Value) -> String {
        let accepted = self.post("//queue/submit", job).await.good();
        accepted["job_id"].as_str().unwrap_or_default().to_owned()
    }

    /// A job as it stands.
    ///
    /// # Panics
    /// When it is not there.
    pub async fn job(&self, id: &str) -> Value {
        self.get(&format!("//queue/{id}")).await.good()
    }

    /// Waits until a job is as it is expected to be.
    pub async fn until_job(&self, id: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until(&format!("job {id} to be {what}"), 2 * SOON, async || {
            let found = self.get(&format!("//queue/{id}")).await;
            if found.status == 200 && holds(&found.json()) { Ok(found.json()) } else { Err(found.text) }
        })
        .await
    }

    /// Waits until a job has this status.
    pub async fn until_job_is(&self, id: &str, status: &str) -> Value {
        self.until_job(id, status, |job| job["status"] == status).await
    }
}
