// mongodb.js URI [acknowledged]   Drives a server with the Node driver and prints what the driver says of every command: a
// line of JSON for each that was sent, and for each answer. With `acknowledged`, every write wants an answer.
const { MongoClient, BSON } = require(process.env.CACHE + '/node_modules/mongodb');

const uri = process.argv[2];
const acknowledged = process.argv.includes('acknowledged');
const plain = value => JSON.parse(BSON.EJSON.stringify(value, { relaxed: false }));
const print = event => console.log(JSON.stringify(event));
// A step may fail: servers differ in what they can do, and the driver tells what became of it.
const step = async run => { try { return await run(); } catch (error) { return error; } };

(async () => {
    const client = new MongoClient(uri, { monitorCommands: true, serverSelectionTimeoutMS: 5000, appName: 'node-live' });
    client.on('commandStarted', e => print({ event: 'started', id: e.requestId, name: e.commandName, database: e.databaseName, command: plain(e.command) }));
    client.on('commandSucceeded', e => print({ event: 'succeeded', id: e.requestId, reply: plain(e.reply) }));
    client.on('commandFailed', e => print({ event: 'failed', id: e.requestId, code: e.failure.code ?? null, name: e.failure.codeName ?? null }));
    await client.connect();
    const db = client.db('nodelive');
    const users = db.collection('users');
    await step(() => users.drop());
    await step(() => users.insertMany(Array.from({ length: 150 }, (_, i) => ({ _id: i, i, text: 'node '.repeat(20) }))));
    await step(() => users.insertOne({ _id: 3 }));
    await step(() => users.find({ i: { $gte: 0 } }).batchSize(40).toArray());
    await step(() => users.find({ i: { $in: [1, 2, 3] } }).sort({ i: -1 }).toArray());
    await step(() => users.aggregate([{ $match: { i: { $lt: 100 } } }, { $group: { _id: null, n: { $sum: 1 } } }]).toArray());
    await step(() => users.updateMany({ i: { $lt: 5 } }, { $set: { seen: true } }));
    await step(() => users.updateOne({ _id: 'new' }, { $set: { i: 1000 } }, { upsert: true }));
    await step(() => users.findOneAndUpdate({ i: 7 }, { $inc: { i: 1 } }));
    await step(() => users.deleteMany({ i: { $gt: 140 } }));
    await step(() => users.countDocuments({}));
    await step(() => users.distinct('i'));
    await step(() => db.command({ noSuchCommand: 1 }));
    await step(() => db.listCollections().toArray());
    await step(() => client.db('admin').command({ buildInfo: 1 }));
    const cursor = users.find({}).batchSize(5);
    await step(() => cursor.next());
    await step(() => cursor.close());
    if (!acknowledged) await step(() => users.insertOne({ unacknowledged: 1 }, { writeConcern: { w: 0 } }));
    await step(() => users.drop());
    await new Promise(done => setTimeout(done, 300));
    await client.close();
})().catch(error => { console.error(error); process.exit(1); });
