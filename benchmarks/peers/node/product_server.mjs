// node product_server.mjs PORT: a part of Photogram's API by Mercurius with graphql-jit, over Photogram's databases.
import fs from 'node:fs'
import Fastify from 'fastify'
import mercurius from 'mercurius'
import { addressOf, cursorId, globalId, idCursor, localId, numberCursor } from './product_addresses.mjs'
import { Loaders, addComment, like, viewerOf } from './product_store.mjs'

const BEST_FIRST = ['WEBP', 'PNG', 'GIF', 'JPEG']
const FOLLOWS = new Set(['FOLLOWED', 'FOLLOW_REQUESTED', 'FOLLOW_ACCEPTED'])

const instant = (value) => typeof value === 'string' ? value : value.toISOString()
const idsOf = (type) => (row) => globalId(type, row._id)
const relationOf = (read) => async (user, _, { loaders }) => read(await loaders.relation.load(String(user._id)))
const author = ({ author_id: id }, _, { loaders }) => loaders.user.load(id)
const isShown = (row) => row !== null

/** A page of `first` shown rows; one more is looked for, so that no list goes on to an empty page. */
function connection (rows, first, cursorOf) {
  const edges = rows.filter(isShown).slice(0, first).map((node) => ({ cursor: cursorOf(node), node }))
  const pageInfo = { hasNextPage: rows.filter(isShown).length > first, endCursor: edges.at(-1)?.cursor ?? null }
  return { edges, pageInfo }
}

async function filled (ids, first, load) {
  const rows = []
  for (let start = 0; start < ids.length && rows.filter(isShown).length <= first; start += first + 1) {
    rows.push(...await Promise.all(ids.slice(start, start + first + 1).map(load)))
  }
  return rows
}

const byId = (row) => idCursor(String(row._id))

const notification = {
  id: (row) => globalId(typeOf(row), row._id),
  actors: (row, _, { loaders }) => loaders.metUsers(row.actor_ids),
  actorCount: (row) => row.actor_count,
  updatedAt: (row) => instant(row.updated_at),
  isRead: (row) => row.is_read ?? false
}
const about = {
  post: (row, _, { loaders }) => row.post_id ? loaders.visiblePost(row.post_id) : null,
  comment: (row, _, { loaders }) => row.comment_id ? loaders.visibleComment(row.comment_id) : null
}

function typeOf (row) {
  if (FOLLOWS.has(row.kind)) return 'FollowNotification'
  const isAboutComment = ['COMMENT_LIKED', 'REPLIED'].includes(row.kind) || (row.kind === 'MENTIONED' && row.comment_id)
  return isAboutComment ? 'CommentNotification' : 'PostNotification'
}

const resolvers = {
  Query: {
    viewer: () => ({}),
    user: (_, { username }, { loaders }) => loaders.userNamed(username),
    post: (_, { id }, { loaders }) => loaders.visiblePost(localId(id, 'Post')),
    feed: async (_, { first = 20, after }, { loaders }) => {
      const ids = await loaders.feedIds(after ? cursorId(after) : null)
      return connection(await filled(ids, first, (id) => loaders.feedPost(id)), first, byId)
    },
    notifications: async (_, { first = 20 }, { loaders }) => {
      const rows = await loaders.notifications(first + 2)
      const shown = await Promise.all(rows.map((row) => loaders.shownNotification(row)))
      return connection(shown, first, (row) => numberCursor(row.seq))
    }
  },
  Mutation: {
    likePost: async (_, { input }, { loaders }) => {
      const post = await like(loaders.viewer, localId(input.postId, 'Post'))
      if (post === null) return { userErrors: [{ code: 'NOT_FOUND' }] }
      loaders.postLike.prime(post._id, true)
      return { userErrors: [], post }
    },
    addComment: async (_, { input }, { loaders }) => {
      const added = await addComment(loaders.viewer, localId(input.postId, 'Post'), input.text)
      if (added === null) return { userErrors: [{ code: 'NOT_FOUND' }] }
      return { userErrors: [], post: added.post, commentEdge: { cursor: byId(added.comment), node: added.comment } }
    }
  },
  Viewer: { user: (_, __, { loaders }) => loaders.user.load(loaders.viewer) },
  User: {
    id: idsOf('User'),
    displayName: (user) => user.display_name,
    isPrivate: (user) => user.is_private ?? false,
    postCount: (user) => user.post_count ?? 0,
    followerCount: (user) => user.follower_count ?? 0,
    followingCount: (user) => user.following_count ?? 0,
    posts: async (user, { first = 20 }, { loaders }) => {
      const ids = await loaders.postsOf(user, first + 2)
      return connection(await filled(ids, first, (id) => loaders.visiblePost(id)), first, byId)
    },
    viewerFollowState: relationOf((relation) => relation.followState),
    viewerIsFollowed: relationOf((relation) => relation.isFollowed),
    viewerHasMuted: relationOf((relation) => relation.hasMuted)
  },
  Post: {
    id: idsOf('Post'),
    author,
    createdAt: (post) => instant(post.created_at),
    likeCount: (post) => post.like_count ?? 0,
    commentCount: (post) => post.comment_count ?? 0,
    viewerHasLiked: (post, _, { loaders }) => loaders.postLike.load(post._id),
    previewComments: async (post, _, { loaders }) => {
      const ids = post.preview_comment_ids ?? []
      return (await Promise.all(ids.map((id) => loaders.visibleComment(id)))).filter(isShown)
    },
    comments: async (post, { first = 20 }, { loaders }) => {
      const ids = await loaders.commentIds(post, first + 2)
      return connection(await filled(ids, first, (id) => loaders.visibleComment(id)), first, byId)
    }
  },
  Image: {
    id: (image) => globalId('Image', image.id),
    altText: (image) => image.alt_text ?? null,
    blurHash: (image) => image.blur_hash,
    rendition: (image, { width }) => {
      const format = BEST_FIRST.find((each) => image.renditions.some((rendition) => rendition.format === each))
      const fitting = image.renditions.filter((each) => each.format === format).sort((one, two) => one.width - two.width)
      return fitting.find((each) => each.width >= width) ?? fitting.at(-1) ?? null
    }
  },
  Rendition: { url: (rendition) => addressOf(rendition.key) },
  Comment: {
    id: idsOf('Comment'),
    author,
    createdAt: (comment) => instant(comment.created_at),
    likeCount: (comment) => comment.like_count ?? 0,
    replyCount: (comment) => comment.reply_count ?? 0,
    viewerHasLiked: (comment, _, { loaders }) => loaders.commentLike.load(comment._id)
  },
  Notification: { resolveType: typeOf },
  PostNotification: { ...notification, ...about },
  CommentNotification: { ...notification, comment: about.comment },
  FollowNotification: notification
}

async function context (request) {
  const viewer = await viewerOf((request.headers.authorization ?? '').replace(/^Bearer /, ''))
  if (viewer === null) throw new mercurius.ErrorWithProps('Sign in.', { code: 'UNAUTHENTICATED' }, 401)
  return { loaders: new Loaders(viewer) }
}

const schema = fs.readFileSync(new URL('../product.graphql', import.meta.url), 'utf8')
const app = Fastify({ logger: false })
app.register(mercurius, { schema, resolvers, context, jit: 1 }) // jit: compile an operation that was asked once before
await app.listen({ port: Number(process.argv[2]), host: '127.0.0.1' })
