// Photogram's databases as a Node server reads them: MongoDB, records cached in Redis as JSON, one DataLoader a kind.
import { createHash } from 'node:crypto'
import DataLoader from 'dataloader'
import { Redis } from 'ioredis'
import { MongoClient, ObjectId } from 'mongodb'

const CACHED_SECONDS = 30
const FEED_SECONDS = 60
const FEED_ENTRIES = 200
const WITHOUT_SECRETS = { projection: { password_hash: 0, email: 0, email_key: 0 } }
const IDS = { projection: { _id: 1 } }
const prefix = process.env.PHOTOGRAM_KEY_PREFIX

const client = new MongoClient(process.env.PHOTOGRAM_MONGO_URL, { writeConcern: { w: 'majority' } })
const database = client.db(process.env.PHOTOGRAM_MONGO_DATABASE)
const redis = new Redis(process.env.PHOTOGRAM_REDIS_URL)
const collection = (name) => database.collection(name)
const objectIds = (ids) => ids.map((id) => new ObjectId(id))
const idOf = (row) => String(row._id)

/** The user of an access token; null for a bad one. */
export async function viewerOf (token) {
  const raw = Buffer.from(token, 'base64url')
  if (raw.length !== 44) return null
  const now = new Date()
  const hash = createHash('sha256').update(token).digest()
  const session = await collection('sessions').findOne({
    _id: new ObjectId(raw.subarray(0, 12)), access_hash: hash, access_expires_at: { $gt: now }
  })
  if (session === null) return null
  if (now - session.last_used_at > 60_000) {
    await collection('sessions').updateOne({ _id: session._id }, { $set: { last_used_at: now } })
  }
  return String(session.user_id)
}

/** Values in the order of their keys, from Redis; missing ones by one call of `load`, as a Map, and then cached. */
async function cached (kind, keys, seconds, load) {
  const names = keys.map((key) => `${prefix}${kind}:${key}`)
  const found = (await redis.mget(names)).map((text) => text && JSON.parse(text))
  const missing = keys.filter((_, index) => found[index] === null)
  if (missing.length === 0) return found
  const loaded = await load(missing)
  const writes = redis.pipeline()
  keys.forEach((key, index) => {
    if (found[index] !== null || !loaded.has(key)) return
    const text = JSON.stringify(loaded.get(key))
    writes.set(names[index], text, 'EX', seconds)
    found[index] = JSON.parse(text)
  })
  await writes.exec()
  return found
}

const rowsById = async (name, ids, options) =>
  new Map((await collection(name).find({ _id: { $in: objectIds(ids) } }, options).toArray()).map((row) => [idOf(row), row]))

async function relations (viewer, ids) {
  const [me, others] = [new ObjectId(viewer), objectIds(ids)]
  const between = (name, from, to) => collection(name)
    .find({ $or: [{ [from]: me, [to]: { $in: others } }, { [from]: { $in: others }, [to]: me }] })
    .hint({ [from]: 1, [to]: 1 }).toArray()
  const [follows, blocks, mutes] = await Promise.all([
    between('follows', 'follower_id', 'followee_id'),
    between('blocks', 'blocker_id', 'blocked_id'),
    collection('mutes').find({ muter_id: me, muted_id: { $in: others } }).toArray()
  ])
  const pairs = (rows, from, to) => new Map(rows.map((row) => [`${row[from]} ${row[to]}`, row]))
  const followed = pairs(follows, 'follower_id', 'followee_id')
  const blocked = pairs(blocks, 'blocker_id', 'blocked_id')
  const muted = pairs(mutes, 'muter_id', 'muted_id')
  return new Map(ids.map((id) => {
    const [to, from] = [`${viewer} ${id}`, `${id} ${viewer}`]
    return [`${viewer}:${id}`, {
      isSelf: id === viewer,
      followState: followed.get(to)?.state ?? 'NONE',
      isFollowed: followed.get(from)?.state === 'FOLLOWING',
      isApart: blocked.has(to) || blocked.has(from),
      hasMuted: muted.has(to)
    }]
  }))
}

const canMeet = (user, relation) => user?.state === 'ACTIVE' && !relation.isApart

const canViewContent = (user, relation) =>
  canMeet(user, relation) && (relation.isSelf || !user.is_private || relation.followState === 'FOLLOWING')

const canViewPost = (post, user, relation) =>
  !post.deleted && canViewContent(user, relation) && (post.status === 'READY' || relation.isSelf)

/** What one operation loads for one viewer. */
export class Loaders {
  constructor (viewer) {
    const loader = (load) => new DataLoader((ids) => load(ids.map(String)), { cacheKeyFn: String })
    const records = (kind, name, options) => loader((ids) =>
      cached(kind, ids, CACHED_SECONDS, (missing) => rowsById(name, missing, options)))
    const likes = (name) => loader(async (ids) => {
      const rows = await collection(name)
        .find({ target_id: { $in: objectIds(ids) }, user_id: new ObjectId(viewer) }).toArray()
      const liked = new Set(rows.filter((row) => row.liked).map((row) => String(row.target_id)))
      return ids.map((id) => liked.has(id))
    })
    this.viewer = viewer
    this.user = records('user', 'users', WITHOUT_SECRETS)
    this.post = records('post', 'posts')
    this.relation = loader((ids) => cached('relation', ids.map((id) => `${viewer}:${id}`), CACHED_SECONDS,
      (pairs) => relations(viewer, pairs.map((pair) => pair.slice(25)))))
    this.comment = loader(async (ids) => {
      const rows = await rowsById('comments', ids)
      return ids.map((id) => rows.get(id) ?? null)
    })
    this.postLike = likes('post_likes')
    this.commentLike = likes('comment_likes')
  }

  async person (id) {
    return Promise.all([this.user.load(id), this.relation.load(String(id))])
  }

  async metUsers (ids) {
    const people = await Promise.all(ids.map((id) => this.person(id)))
    return people.filter((person) => canMeet(...person)).map(([user]) => user)
  }

  async visiblePost (id) {
    const post = await this.post.load(id)
    return post !== null && canViewPost(post, ...await this.person(post.author_id)) ? post : null
  }

  async visibleComment (id) {
    const comment = await this.comment.load(id)
    if (comment === null || comment.deleted) return null
    const [[user, relation], post, parent] = await Promise.all([
      this.person(comment.author_id),
      this.visiblePost(comment.post_id),
      comment.parent_id === null || this.visibleComment(comment.parent_id)
    ])
    const isShown = canMeet(user, relation) && (!comment.hidden || relation.isSelf)
    return isShown && post !== null && parent !== null ? comment : null
  }

  /** Post ids of the home feed below one of them, newest first: kept entries, and the viewer's own posts. */
  async feedIds (below) {
    const me = new ObjectId(this.viewer)
    const [[entries], own] = await Promise.all([
      cached('feed', [this.viewer], FEED_SECONDS, async () => {
        const query = { _id: { $gt: { o: me }, $lt: { o: me, p: new ObjectId('f'.repeat(24)) } } }
        const rows = await collection('feed_entries').find(query).sort({ _id: -1 }).limit(FEED_ENTRIES).toArray()
        return new Map([[this.viewer, rows.map((row) => row._id.p)]])
      }),
      this.postIds(this.viewer, FEED_ENTRIES)
    ])
    const ids = [...new Set([...entries, ...own.map(String)])].sort().reverse()
    return below === null ? ids : ids.filter((id) => id < below)
  }

  async feedPost (id) {
    const post = await this.visiblePost(id)
    if (post === null) return null
    const relation = await this.relation.load(String(post.author_id))
    return relation.isSelf || (relation.followState === 'FOLLOWING' && !relation.hasMuted) ? post : null
  }

  async userNamed (username) {
    const row = await collection('users').findOne({ username_key: username.toLowerCase() }, IDS)
    if (row === null) return null
    const [user, relation] = await this.person(row._id)
    return canMeet(user, relation) ? user : null
  }

  async postIds (authorId, limit) {
    const query = { author_id: new ObjectId(authorId), status: 'READY', deleted: false }
    const rows = await collection('posts').find(query, IDS).sort({ _id: -1 }).limit(limit).toArray()
    return rows.map((row) => row._id)
  }

  async postsOf (user, limit) {
    if (!canViewContent(user, await this.relation.load(String(user._id)))) return []
    return this.postIds(user._id, limit)
  }

  async commentIds (post, limit) {
    const query = { post_id: new ObjectId(post._id), parent_id: null, deleted: false }
    const rows = await collection('comments').find(query).sort({ _id: -1 }).limit(limit).toArray()
    for (const row of rows) this.comment.prime(row._id, row)
    return rows.map((row) => row._id)
  }

  async notifications (limit) {
    const query = { recipient_id: new ObjectId(this.viewer), withdrawn: false }
    return collection('notifications').find(query).sort({ seq: -1 }).limit(limit).toArray()
  }

  async shownNotification (row) {
    const [post, comment, actors] = await Promise.all([
      !row.post_id || this.visiblePost(row.post_id),
      !row.comment_id || this.visibleComment(row.comment_id),
      this.metUsers(row.actor_ids)
    ])
    const isShown = row.actor_ids.length === 0 || row.actor_count > row.actor_ids.length || actors.length > 0
    return post !== null && comment !== null && isShown ? row : null
  }
}

/** The post a mutation is about, as stored now, if the viewer may see it. */
async function target (viewer, postId) {
  const post = await collection('posts').findOne({ _id: new ObjectId(postId) })
  if (post === null) return null
  const author = String(post.author_id)
  const [user, relation] = await Promise.all([
    collection('users').findOne({ _id: post.author_id }, WITHOUT_SECRETS),
    relations(viewer, [author])
  ])
  return canViewPost(post, user, relation.get(`${viewer}:${author}`)) ? post : null
}

const pending = (tasks) => {
  const now = new Date()
  return { outbox: tasks, pending_since: now, due_at: new Date(now.getTime() + 3000), enqueues: 0 }
}

async function enqueue (tasks, fact, id) {
  const jobs = redis.pipeline()
  for (const task of tasks) jobs.xadd(`${prefix}jobs:${task}`, '*', 'task', task, 'fact', fact, 'id', String(id))
  await jobs.exec()
}

/** Likes a post, its counting and notifying pending; the post with the viewer's own like counted. */
export async function like (viewer, postId) {
  const post = await target(viewer, postId)
  if (post === null) return null
  const tasks = ['count', 'notify']
  const before = await collection('post_likes').findOneAndUpdate(
    { target_id: post._id, user_id: new ObjectId(viewer) },
    { $set: { liked: true }, $setOnInsert: { version: 1, ...pending(tasks) } },
    { upsert: true, returnDocument: 'before' })
  if (!before?.liked) await enqueue(tasks, 'post_like', post._id)
  return { ...post, like_count: (post.like_count ?? 0) + (before?.counted ? 0 : 1) }
}

/** Comments on a post, three tasks pending; the comment, and the post with the viewer's own comments counted. */
export async function addComment (viewer, postId, text) {
  const post = await target(viewer, postId)
  if (post === null || !post.comments_enabled) return null
  const tasks = ['count', 'notify', 'screen']
  const author = new ObjectId(viewer)
  const comment = {
    _id: new ObjectId(), post_id: post._id, author_id: author, parent_id: null, text,
    hashtags: [], mention_ids: [], created_at: new Date(), like_count: 0, reply_count: 0,
    hidden: false, deleted: false, counted: false, ...pending(tasks)
  }
  const uncounted = { post_id: post._id, author_id: author, outbox: 'count', deleted: false, counted: false }
  const own = 1 + await collection('comments').countDocuments(uncounted)
  await collection('comments').insertOne(comment)
  await enqueue(tasks, 'comment', comment._id)
  return { comment, post: { ...post, comment_count: (post.comment_count ?? 0) + own } }
}
