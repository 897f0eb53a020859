//! Questions of clients, for the leading scheduler.

use super::{read, write};
use crate::{Bus, BusError, Inner, subjects};
use domain::control::{Ask, Reply};
use futures::StreamExt;
use std::sync::Arc;

/// Questions as they come in.
pub struct Questions {
    inner: Arc<Inner>,
    messages: async_nats::Subscriber,
}

/// A question that waits for its answer. Dropped, it is asked again.
pub struct Asked {
    /// The question.
    pub ask: Ask,
    inner: Arc<Inner>,
    reply: async_nats::Subject,
}

impl Bus {
    /// Takes the questions from now on.
    pub async fn control_questions(&self) -> Result<Questions, BusError> {
        let what = "listening to questions";
        let opened = self.inner.client.subscribe(subjects::ASK).await;
        let messages = opened.map_err(|error| BusError::unavailable(what, error))?;
        Ok(Questions { inner: self.inner.clone(), messages })
    }
}

impl Questions {
    /// The next question; none when the subscription has ended.
    pub async fn next(&mut self) -> Option<Asked> {
        loop {
            let message = self.messages.next().await?;
            let Some(reply) = message.reply else { continue };
            match read("a question", &message.payload) {
                Ok(ask) => return Some(Asked { ask, inner: self.inner.clone(), reply }),
                Err(error) => tracing::warn!(%error, "a question is passed over"),
            }
        }
    }
}

impl Asked {
    /// Answers it. Who asked and hears nothing asks again.
    pub async fn answer(self, reply: &Reply) {
        let sent = match write("an answer", reply) {
            Ok(body) => self.inner.client.publish(self.reply, body).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = sent {
            tracing::debug!(error, "an answer was not sent");
        }
    }
}
