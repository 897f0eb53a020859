//! Adding accounts up, and reading the sums.

use super::{Account, AccountOutcome, UsageSums};
use crate::runs::RunsError;
use domain::Plane;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::BTreeMap;

/// What sums are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// The day, `2026-11-21`.
    Day,
    /// The model.
    Model,
    /// The key.
    Key,
    /// The tenant.
    Tenant,
}

impl Grouping {
    /// The grouping of that word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "day" => Some(Self::Day),
            "model" => Some(Self::Model),
            "key" => Some(Self::Key),
            "tenant" => Some(Self::Tenant),
            _ => None,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Model => "model",
            Self::Key => "key_name",
            Self::Tenant => "tenant",
        }
    }
}

/// Which requests are summed up; none for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Those for that model.
    pub model: Option<String>,
    /// Those of the key of that name.
    pub key: Option<String>,
    /// Those of that tenant.
    pub tenant: Option<String>,
}

/// A sum over requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sum {
    /// What it is the sum for: the day, model, key or tenant.
    pub group: String,
    /// Requests.
    pub requests: u64,
    /// Of these, answered with an error.
    pub failed: u64,
    /// Of these, left by their client.
    pub aborted: u64,
    /// Of these, with estimated tokens.
    pub estimated: u64,
    /// Tokens of prompts.
    pub tokens_in: u64,
    /// Tokens of answers.
    pub tokens_out: u64,
    /// Tokens of prompts that backends had in their caches.
    pub tokens_cached: u64,
    /// Mean time to the first content, in milliseconds, over the requests that had any.
    pub first_token_ms: Option<f64>,
    /// Mean time in all, in milliseconds.
    pub total_ms: f64,
}

/// Numbers of one row, in the order of the columns.
type Numbers = [i64; 10];

fn numbers(account: &Account) -> Numbers {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    [
        1,
        i64::from(account.outcome == AccountOutcome::Failed),
        i64::from(account.outcome == AccountOutcome::Aborted),
        i64::from(!account.told),
        signed(account.tokens_in),
        signed(account.tokens_out),
        signed(account.tokens_cached),
        signed(account.first_token_ms.unwrap_or(0)),
        i64::from(account.first_token_ms.is_some()),
        signed(account.total_ms),
    ]
}

impl UsageSums {
    /// Up to which account the sums go.
    pub(super) async fn position(&self) -> Result<u64, RunsError> {
        let found: Option<i64> = sqlx::query_scalar("SELECT MAX(sequence) FROM gantry_usage_position")
            .fetch_one(&self.pool)
            .await
            .map_err(RunsError::database("reading the position of accounts"))?;
        Ok(found.and_then(|value| u64::try_from(value).ok()).unwrap_or(0))
    }

    /// Adds accounts that follow the position, in one transaction with the new position. Returns whether they did:
    /// another process may have added them meanwhile.
    pub(super) async fn add(&self, after: u64, accounts: &[(u64, Plane, Account)]) -> Result<bool, RunsError> {
        let Some((last, ..)) = accounts.last() else { return Ok(true) };
        let mut rows: BTreeMap<[String; 5], Numbers> = BTreeMap::new();
        for (_, plane, account) in accounts {
            let key = account.key.clone().unwrap_or_default();
            let day = account.at.to_string().chars().take(10).collect();
            let row = [plane.to_string(), day, account.tenant.clone(), key, account.model.clone()];
            let sums = rows.entry(row).or_default();
            sums.iter_mut().zip(numbers(account)).for_each(|(sum, number)| *sum = sum.saturating_add(number));
        }
        let mut transaction = self.pool.begin().await.map_err(RunsError::database("beginning a transaction"))?;
        let claimed = sqlx::query(
            "INSERT INTO gantry_usage_position (one, sequence) VALUES (1, $1)
             ON CONFLICT (one) DO UPDATE SET sequence = excluded.sequence WHERE gantry_usage_position.sequence = $2",
        )
        .bind(i64::try_from(*last).unwrap_or(i64::MAX))
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await
        .map_err(RunsError::database("writing the position of accounts"))?;
        if claimed.rows_affected() == 0 {
            return Ok(false);
        }
        for (names, sums) in rows {
            let mut query = sqlx::query(ADD);
            for name in names {
                query = query.bind(name);
            }
            for sum in sums {
                query = query.bind(sum);
            }
            query.execute(&mut *transaction).await.map_err(RunsError::database("adding accounts"))?;
        }
        transaction.commit().await.map_err(RunsError::database("committing"))?;
        Ok(true)
    }

    /// Sums of a plane between two days (inclusive, `2026-11-21`), largest first.
    pub async fn list(
        &self,
        plane: &Plane,
        days: (&str, &str),
        only: &Only,
        by: Grouping,
    ) -> Result<Vec<Sum>, RunsError> {
        let only = [("model", &only.model), ("key_name", &only.key), ("tenant", &only.tenant)];
        let only: Vec<(&str, &String)> =
            only.iter().filter_map(|(column, value)| Some((*column, value.as_ref()?))).collect();
        let filters: String =
            only.iter().enumerate().map(|(at, (column, _))| format!(" AND {column} = ${}", at + 4)).collect();
        let text = format!(
            "SELECT {column} AS grouped, CAST(SUM(requests) AS BIGINT) AS c0, CAST(SUM(failed) AS BIGINT) AS c1,
             CAST(SUM(aborted) AS BIGINT) AS c2, CAST(SUM(estimated) AS BIGINT) AS c3,
             CAST(SUM(tokens_in) AS BIGINT) AS c4, CAST(SUM(tokens_out) AS BIGINT) AS c5,
             CAST(SUM(tokens_cached) AS BIGINT) AS c6, CAST(SUM(first_token_ms) AS BIGINT) AS c7,
             CAST(SUM(first_tokens) AS BIGINT) AS c8, CAST(SUM(total_ms) AS BIGINT) AS c9
             FROM gantry_usage WHERE plane = $1 AND day >= $2 AND day <= $3{filters}
             GROUP BY {column} ORDER BY SUM(tokens_in) + SUM(tokens_out) DESC, {column} LIMIT 1000",
            column = by.column()
        );
        let (from, to) = days;
        let mut query =
            sqlx::query(AssertSqlSafe(text)).bind(plane.to_string()).bind(from.to_owned()).bind(to.to_owned());
        for (_, value) in only {
            query = query.bind(value.clone());
        }
        let rows = query.fetch_all(&self.pool).await.map_err(RunsError::database("reading sums of accounts"))?;
        rows.iter().map(|row| parse(row).map_err(RunsError::database("reading a sum"))).collect()
    }
}

const ADD: &str = "INSERT INTO gantry_usage (plane, day, tenant, key_name, model, requests, failed, aborted, estimated,
     tokens_in, tokens_out, tokens_cached, first_token_ms, first_tokens, total_ms)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
     ON CONFLICT (plane, day, tenant, key_name, model) DO UPDATE SET
     requests = gantry_usage.requests + excluded.requests, failed = gantry_usage.failed + excluded.failed,
     aborted = gantry_usage.aborted + excluded.aborted, estimated = gantry_usage.estimated + excluded.estimated,
     tokens_in = gantry_usage.tokens_in + excluded.tokens_in, tokens_out = gantry_usage.tokens_out + excluded.tokens_out,
     tokens_cached = gantry_usage.tokens_cached + excluded.tokens_cached,
     first_token_ms = gantry_usage.first_token_ms + excluded.first_token_ms,
     first_tokens = gantry_usage.first_tokens + excluded.first_tokens,
     total_ms = gantry_usage.total_ms + excluded.total_ms";

fn parse(row: &AnyRow) -> Result<Sum, sqlx::Error> {
    let number = |place: usize| -> Result<u64, sqlx::Error> {
        Ok(u64::try_from(row.try_get::<i64, _>(format!("c{place}").as_str())?).unwrap_or(0))
    };
    let (requests, first, firsts, total) = (number(0)?, number(7)?, number(8)?, number(9)?);
    Ok(Sum {
        group: row.try_get("grouped")?,
        requests,
        failed: number(1)?,
        aborted: number(2)?,
        estimated: number(3)?,
        tokens_in: number(4)?,
        tokens_out: number(5)?,
        tokens_cached: number(6)?,
        first_token_ms: (firsts > 0).then(|| first as f64 / firsts as f64),
        total_ms: if requests > 0 { total as f64 / requests as f64 } else { 0.0 },
    })
}
