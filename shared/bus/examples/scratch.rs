use bus::*; use domain::*; use std::time::*;
#[tokio::main]
async fn main() {
    let conn = Connection{urls: vec!["nats://127.0.0.1:14222".into()], name:"t".into(), ..Default::default()};
    let t=Instant::now();
    let bus = connect(&conn, BusOptions{shards:None, replicas:1}).await.unwrap();
    println!("connect+provision {:?}", t.elapsed());
    let t=Instant::now();
    let _b2 = connect(&conn, BusOptions{shards:None, replicas:1}).await.unwrap();
    println!("connect again {:?}", t.elapsed());
    let plane = Plane::main();
    let log = bus.commands(&plane);
    let mk = |id:&str, run:&str| Command{command_id:id.into(), run_id:run.into(), kind:CommandKind::Pause, payload:Default::default(), ts:None, client_id:None, accepted_at: Time::from_micros(1)};
    for i in 0..5 { println!("{:?}", log.accept(&mk(&format!("c{i}-{:?}",t), "run1"), &Default::default()).await); }
    let id = format!("x{:?}", t);
    println!("{:?}", log.accept(&mk(&id, "run1"), &Default::default()).await);
    println!("dup {:?}", log.accept(&mk(&id, "run2"), &Default::default()).await);
    println!("find {:?}", log.find(&id.as_str().into()).await);
    let run = RunId::new(uuid_from(&[format!("{t:?}").as_bytes()]));
    let j = bus.journal(&plane);
    let mut last=0;
    let mut tail = bus.follow(j.shard(&run), bus.shard_end(j.shard(&run)).await.unwrap()+1);
    for i in 0..5 {
        let t=Instant::now();
        let w = format!("w{i}");
        let c = Commit{run:&run, expected:last, inbox_cursor:3, effects:0, writer:&w, body: "{}".into(), trace:&Default::default()};
        let o = j.commit(&c).await.unwrap();
        println!("{o:?} {:?}", t.elapsed());
        if let CommitOutcome::Stored(s)=o {last=s}
    }
    let c = Commit{run:&run, expected:0, inbox_cursor:3, effects:0, writer:"w", body: "{}".into(), trace:&Default::default()};
    println!("{:?}", j.commit(&c).await);
    println!("{:?} {:?}", j.last(&run).await.unwrap().unwrap().sequence, j.last_at_leader(&run).await.unwrap().unwrap().writer);
    println!("{}", j.read(&run, 1, 100).await.unwrap().0.len());
    for _ in 0..5 { println!("tail {}", tail.next().await.sequence); }
    println!("{:?}", j.last(&RunId::new("nope")).await);
    let w = bus.waits(&plane); w.register("evt:a b*", &run).await.unwrap(); println!("{:?}", w.find("evt:a b*").await); w.forget("evt:a b*", &run).await.unwrap(); println!("{:?}", w.find("evt:a b*").await);
    let tm = bus.timers(&plane); let inbox = bus.inbox(&plane);
    let now = Time::from_micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64);
    tm.arm(&run, "t1", now.plus_micros(700_000), &"\"fired\"".into()).await.unwrap();
    inbox.send(&run, "m1", &"1".into(), &Default::default()).await.unwrap();
    inbox.send(&run, "m1", &"1".into(), &Default::default()).await.unwrap();
    println!("pending {:?}", inbox.pending(&run, 0).await.unwrap().0.len());
    let t=Instant::now();
    let mut d = bus.doorbells(j.shard(&run), 16);
    for _ in 0..2 { let m = d.next().await; println!("{} {} {:?} {:?}", m.sequence, m.delivered, m.body, t.elapsed()); m.ack().await; }
    let b = bus.blobs(); let t=Instant::now(); b.put("k", &vec![7u8; 300_000]).await.unwrap(); println!("blob {:?}", t.elapsed()); println!("{:?}", b.get("k").await.unwrap().unwrap().len()); b.remove("k").await.unwrap(); println!("{:?}", b.get("k").await.unwrap()); b.remove("k").await.unwrap();
    let cat = bus.catalog(&plane); cat.put("bundle","a@1", "x".into()).await.unwrap();
    println!("{:?}", cat.get("bundle","a@1").await);
    let c2=cat.clone();
    let _=tokio::time::timeout(Duration::from_millis(500), c2.watch(|u| println!("{u:?}"))).await;
}
