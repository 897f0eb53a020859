//! What is told of, one file per source.

pub(crate) mod control;
pub(crate) mod runs;

use crate::config::Links;
use domain::notices::Notice;

/// Gives a notice the link of what it is about.
fn linked(mut notice: Notice, links: &Links) -> Notice {
    let run = notice.run.as_ref().zip(links.run.as_ref()).map(|(run, link)| link.replace("{run}", run.as_str()));
    let job = notice.job.as_ref().zip(links.job.as_ref()).map(|(job, link)| link.replace("{job}", job));
    notice.click = notice.click.or(run).or(job);
    notice
}
