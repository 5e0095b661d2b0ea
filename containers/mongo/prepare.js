// Makes the one node a replica set and gives our services a user of their own. Run again, it changes nothing but a
// password that was made anew. mongosh runs it, connected to the node itself.
const fs = require("fs");
const secret = (name) => fs.readFileSync(`/run/streamgauge-secrets/${name}`, "utf8").trim();

const USER = "streamgauge";
const ROLES = [{ role: "readWrite", db: "streamgauge" }];

const admin = db.getSiblingDB("admin");
admin.auth("root", secret("mongo_root_password"));

try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongo:27017" }] });
}

let waitedMs = 0;
while (!admin.hello().isWritablePrimary) {
  if (waitedMs > 60000) throw new Error("the node did not become primary within a minute");
  sleep(500);
  waitedMs += 500;
}

const account = { pwd: secret("mongo_password"), roles: ROLES };
if (admin.getUser(USER) === null) {
  admin.createUser({ user: USER, ...account });
} else {
  admin.updateUser(USER, account);
}
print("replica set rs0 and user streamgauge are there");
