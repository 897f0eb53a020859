//! Anthropic's messages in OpenAI's words and back, for backends that speak only the latter.

use crate::error::ProxyError;
use crate::relay::completion::Completion;
use bytes::Bytes;

pub(crate) fn to_chat(_: &Bytes, _: Option<&str>, _: bool) -> Result<Bytes, ProxyError> {
    Err(ProxyError::Unsupported(String::new()))
}
pub(crate) fn from_chat(_: &Bytes, _: &str) -> Result<Bytes, String> {
    Err(String::new())
}
pub(crate) struct Translated;
impl Translated {
    pub(crate) fn new(_: Completion, _: String) -> crate::relay::native::Native {
        crate::relay::native::Native::messages("", 0)
    }
}
